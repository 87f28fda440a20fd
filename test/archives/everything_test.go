package archives_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/mirrorspec"
)

// ftparchive makes the suite stable of the pool with apt-ftparchive, all forms
// of the indexes and Release included.
func (m *maker) ftparchive() {
	m.t.Helper()
	for _, dir := range []string{"main/binary-amd64", "main/binary-i386", "main/source", "main/i18n", "extra/binary-amd64", "extra/binary-i386", "extra/source", "extra/i18n"} {
		m.mkdir("dists/stable/" + dir)
	}
	m.mkdir("pool/main")
	m.mkdir("pool/extra")
	conf := filepath.Join(m.t.TempDir(), "generate.conf")
	text := `Dir { ArchiveDir "` + m.dir + `"; CacheDir "` + m.t.TempDir() + `"; };
Default { Packages::Compress ". gzip xz bzip2 zstd"; Sources::Compress ". xz"; Contents::Compress ". gzip"; Translation::Compress ". xz bzip2"; LongDescription "false"; };
TreeDefault { Directory "pool/$(SECTION)"; SrcDirectory "pool/$(SECTION)"; };
Tree "dists/stable" { Sections "main extra"; Architectures "amd64 i386 source"; };
`
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.run(m.dir, "apt-ftparchive", "generate", conf)
	m.release("dists/stable", "stable", "all amd64 i386", "main extra")
}

// release writes and signs the Release of a suite.
func (m *maker) release(dir, suite, architectures, components string) {
	m.t.Helper()
	args := []string{"-o", "APT::FTPArchive::Release::No-Support-for-Architecture-all=Packages", "-o", "APT::FTPArchive::Release::Suite=" + suite, "-o", "APT::FTPArchive::Release::Codename=" + suite,
		"-o", "APT::FTPArchive::Release::Architectures=" + architectures, "-o", "APT::FTPArchive::Release::Components=" + components}
	// What it lists is chosen by patterns.
	for _, p := range []string{"Packages", "Packages.*", "Sources", "Sources.*", "Contents-*", "Translation-*", "Commands-*", "Components-*.yml*", "icons-*.tar*", "SHA256SUMS", "Index"} {
		args = append(args, "-o", "APT::FTPArchive::Release::Patterns::="+p)
	}
	args = append(args, "release", dir)
	os.Remove(filepath.Join(m.dir, dir, "Release"))
	os.Remove(filepath.Join(m.dir, dir, "InRelease"))
	m.write(dir+"/Release", m.run(m.dir, "apt-ftparchive", args...))
	m.sign(dir)
}

// rich publishes all kinds of index, for two components, two architectures and two languages.
func rich(t *testing.T) *maker {
	m := newMaker(t, "apt-ftparchive", "dpkg-source", "xz", "gzip")
	m.deb("pool/main", "alpha", "1", "amd64")
	m.deb("pool/main", "alpha", "1", "i386")
	m.deb("pool/extra", "beta", "1", "all")
	m.source("pool/main", "alpha", "1")
	for _, component := range []string{"main", "extra"} {
		at := "dists/stable/" + component + "/"
		m.write(at+"i18n/Translation-de", "Package: alpha\nDescription-md5: 00000000000000000000000000000000\nDescription-de: Probe\n mehr\n\n")
		m.run(m.mkdir(at+"i18n"), "xz", "-kf", "Translation-de")
		for _, arch := range []string{"amd64", "i386"} {
			m.write(at+"cnf/Commands-"+arch, "suite: stable\ncomponent: "+component+"\narch: "+arch+"\n\nname: alpha\nversion: 1\ncommands: alpha\n\n")
			m.write(at+"dep11/Components-"+arch+".yml", "---\nFile: DEP-11\nVersion: '0.14'\nOrigin: test\n")
			m.run(m.mkdir(at), "xz", "-kf", "cnf/Commands-"+arch)
			m.run(m.mkdir(at), "gzip", "-kf", "dep11/Components-"+arch+".yml")
		}
		m.write(at+"Contents-all", "usr/share/doc/beta misc/beta\n")
		m.run(m.mkdir(at), "gzip", "-kf", "Contents-all")
		for _, icons := range []string{"icons-48x48.tar", "icons-64x64.tar"} {
			m.write(at+"dep11/"+icons, strings.Repeat("\x00", 10240))
			m.run(m.mkdir(at), "gzip", "-kf", "dep11/"+icons)
		}
	}
	m.write("dists/stable/main/installer-amd64/current/images/netboot/mini.iso", "an image\n")
	sums := m.run(m.mkdir("dists/stable/main/installer-amd64/current/images"), "sha256sum", "./netboot/mini.iso")
	m.write("dists/stable/main/installer-amd64/current/images/SHA256SUMS", sums)
	m.ftparchive()
	return m
}

var richSpec = mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main", "extra"}, Architectures: []string{"amd64", "i386"}}

// TestClientsOfEverything: apt-get update of a machine that asks for all there
// is has the same end from a region as from upstream.
func TestClientsOfEverything(t *testing.T) {
	m := rich(t)
	upstream := upstreamOf(t, m.dir)
	for name, c := range map[string]struct {
		indexes, languages []string
		lists, lacks       []string // names of lists that the client then has, or not
	}{
		"by default": {nil, nil, []string{"Contents-amd64", "Contents-i386", "Contents-all", "Components-amd64", "icons-48x48", "icons-64x64", "Commands-amd64",
			"Translation-en", "Translation-de", "main_binary-i386_Packages", "extra_binary-amd64_Packages"}, nil},
		"with sources":                  {[]string{"all", "sources"}, nil, []string{"main_source_Sources", "Contents-amd64"}, nil},
		"packages and translations":     {[]string{"packages", "translations"}, nil, []string{"Translation-de"}, []string{"Contents", "Components", "icons", "Commands"}},
		"one language":                  {nil, []string{"en"}, []string{"Translation-en", "Contents-amd64"}, []string{"Translation-de"}},
		"nothing but packages":          {[]string{"packages"}, nil, []string{"binary-amd64_Packages"}, []string{"Translation", "Contents", "Components", "Commands"}},
		"sources, and nothing compiled": {[]string{"sources"}, nil, []string{"main_source_Sources"}, []string{"binary"}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := richSpec
			spec.Indexes, spec.Translations = c.indexes, c.languages
			mine := *m
			mine.t = t
			mirror := mine.newMirror(spec, upstream)
			mirror.cycle(t)
			for _, suffix := range []string{".sources", ".list"} {
				for at, url := range map[string]string{"upstream": upstream, "region": mirror.url} {
					text := mirror.file(t, url, suffix)
					machine := newClient(t, text)
					machine.asks()
					out, err := machine.run("apt-get", "update")
					if err != nil {
						t.Fatalf("from %s with\n%s\n%v", at, text, err)
					}
					lists, err := filepath.Glob(filepath.Join(machine.root, "state/lists/*"))
					if err != nil {
						t.Fatal(err)
					}
					all := strings.Join(lists, "\n")
					for _, want := range c.lists {
						if !strings.Contains(all, want) {
							t.Errorf("from %s: no %s in\n%s\n%s", at, want, all, out)
						}
					}
					for _, lack := range c.lacks {
						if strings.Contains(all, lack) {
							t.Errorf("from %s: %s in\n%s", at, lack, all)
						}
					}
				}
			}
		})
	}
}

// TestSources has apt-get fetch and unpack sources from a mirror.
func TestSources(t *testing.T) {
	m := rich(t)
	spec := richSpec
	spec.Indexes = []string{"all", "sources"}
	mirror := m.newMirror(spec, upstreamOf(t, m.dir))
	mirror.cycle(t)
	machine := newClient(t, mirror.file(t, mirror.url, ".sources"))
	machine.update()
	if _, err := machine.run("apt-get", "source", "alpha"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(machine.root, "alpha-1/debian/source/format")); err != nil || string(text) != "3.0 (native)\n" {
		t.Errorf("unpacked: %q %v", text, err)
	}
	machine.gets("alpha", "1")
	machine.gets("alpha:i386", "1")
	machine.gets("beta", "1")
}

// TestInstallerImages are fetched with the sums that name them.
func TestInstallerImages(t *testing.T) {
	m := rich(t)
	spec := richSpec
	spec.Indexes = []string{"all", "installer"}
	mirror := m.newMirror(spec, upstreamOf(t, m.dir))
	mirror.cycle(t)
	const image = "dists/stable/main/installer-amd64/current/images/netboot/mini.iso"
	if got := mirror.b.Read(image); got != "an image\n" {
		t.Errorf("%q", got)
	}
	if r := mirror.run(t); r.Digest != "" || r.Err != nil {
		t.Errorf("again: %+v", r)
	}
}
