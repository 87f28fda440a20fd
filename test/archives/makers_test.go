package archives_test

import (
	"os"
	"path/filepath"
	"testing"

	"mirrorcycle/mirrorspec"
)

// TestMakers mirrors what each tool publishes, lets it publish a newer version,
// and has apt update and download from the mirror both times.
func TestMakers(t *testing.T) {
	stable := mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}}
	sources := stable
	sources.Indexes = []string{"all", "sources"}
	flat := mirrorspec.Mirror{Suites: []string{"./"}, Architectures: []string{"amd64"}}
	for name, c := range map[string]struct {
		spec    mirrorspec.Mirror
		tools   []string
		publish func(m *maker, version string) // puts the package alpha into the archive
		root    string                         // of what is served, below the archive
	}{
		"apt-ftparchive": {stable, []string{"apt-ftparchive"}, func(m *maker, version string) {
			m.deb("pool/main", "alpha", version, "amd64")
			m.ftparchive()
		}, ""},
		"reprepro": {sources, []string{"reprepro", "dpkg-source"}, func(m *maker, version string) {
			m.write("conf/distributions", "Codename: stable\nSuite: stable\nComponents: main\nArchitectures: amd64 source\nSignWith: "+m.id+
				"\nContents: .gz\nTracking: minimal\n")
			m.deb("incoming", "alpha", version, "amd64")
			m.source("incoming", "alpha", version)
			m.run(m.dir, "reprepro", "--silent", "-b", m.dir, "includedeb", "stable", "incoming/alpha_"+version+"_amd64.deb")
			m.run(m.dir, "reprepro", "--silent", "-b", m.dir, "includedsc", "stable", "incoming/alpha_"+version+".dsc")
		}, ""},
		"aptly": {stable, []string{"aptly"}, func(m *maker, version string) {
			conf := m.write("aptly.conf", `{"rootDir": "`+m.dir+`", "architectures": ["amd64"], "gpgProvider": "gpg"}`)
			m.deb("incoming", "alpha", version, "amd64")
			if version == "1" {
				m.run(m.dir, "aptly", "-config="+conf, "repo", "create", "-distribution=stable", "-component=main", "repo")
			}
			m.run(m.dir, "aptly", "-config="+conf, "repo", "add", "repo", "incoming/alpha_"+version+"_amd64.deb")
			if version == "1" {
				m.run(m.dir, "aptly", "-config="+conf, "publish", "repo", "-batch", "-gpg-key="+m.id, "-acquire-by-hash", "repo")
			} else {
				m.run(m.dir, "aptly", "-config="+conf, "publish", "update", "-batch", "-gpg-key="+m.id, "stable")
			}
		}, "public"},
		"dpkg-scanpackages": {flat, []string{"dpkg-scanpackages", "apt-ftparchive", "gzip"}, func(m *maker, version string) {
			m.deb("debs", "alpha", version, "amd64")
			m.write("Packages", m.run(m.dir, "dpkg-scanpackages", "-m", "."))
			m.run(m.dir, "gzip", "-kf", "Packages")
			os.Remove(filepath.Join(m.dir, "Release"))
			os.Remove(filepath.Join(m.dir, "InRelease"))
			m.write("Release", m.run(m.dir, "apt-ftparchive", "release", "."))
			m.sign("")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaker(t, c.tools...)
			c.publish(m, "1")
			mirror := m.newMirror(c.spec, upstreamOf(t, m.mkdir(c.root)))
			mirror.cycle(t)
			second := m.newMirror(c.spec, mirror.url) // a mirror of the mirror
			second.cycle(t)
			clients := []*client{newClient(t, mirror.file(t, mirror.url, ".sources")), newClient(t, second.file(t, second.url, ".list"))}
			for _, machine := range clients {
				machine.update()
				machine.gets("alpha", "1")
			}
			c.publish(m, "2")
			mirror.cycle(t)
			second.cycle(t)
			clients[0].gets("alpha", "1") // by the lists that it has
			for _, machine := range clients {
				machine.update()
				machine.gets("alpha", "2")
				if c.spec.Indexes == nil {
					continue
				}
				if _, err := machine.run("apt-get", "source", "--download-only", "alpha=2"); err != nil {
					t.Error(err)
				}
			}
			if r := mirror.run(t); r.Digest != "" || r.Err != nil || len(r.Notes) != 0 {
				t.Errorf("a quiet cycle: %+v", r)
			}
		})
	}
}
