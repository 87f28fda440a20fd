package archives_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/mirrorspec"
)

// TestUdebs come where the spec asks for them.
func TestUdebs(t *testing.T) {
	m := newMaker(t, "reprepro")
	m.write("conf/distributions", "Codename: stable\nSuite: stable\nComponents: main\nUDebComponents: main\nArchitectures: amd64\nSignWith: "+m.id+"\n")
	m.deb("incoming", "alpha", "1", "amd64")
	m.deb("incoming", "installer", "1", "amd64")
	m.run(m.mkdir("incoming"), "mv", "installer_1_amd64.deb", "installer_1_amd64.udeb")
	m.run(m.dir, "reprepro", "--silent", "-b", m.dir, "includedeb", "stable", "incoming/alpha_1_amd64.deb")
	m.run(m.dir, "reprepro", "--silent", "-b", m.dir, "includeudeb", "stable", "incoming/installer_1_amd64.udeb")
	upstream := upstreamOf(t, m.dir)
	spec := mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}}
	for _, chosen := range []bool{false, true} {
		if spec.Indexes = nil; chosen {
			spec.Indexes = []string{"all", "udebs"}
		}
		mirror := m.newMirror(spec, upstream)
		mirror.cycle(t)
		files := strings.Join(mirror.b.Files(), "\n")
		for _, p := range []string{"installer_1_amd64.udeb", "debian-installer/binary-amd64/Packages"} {
			if strings.Contains(files, p) != chosen {
				t.Errorf("%v: %s is there: %v", spec.Indexes, p, !chosen)
			}
		}
	}
}

// pdiff publishes the way from old to the Packages that there is now, as dak does.
func (m *maker) pdiff(old string) {
	m.t.Helper()
	const dir, name = "dists/stable/main/binary-amd64/Packages.diff", "2026-01-02-0000.00"
	before := m.write(dir+"/before", old)
	now := filepath.Join(m.dir, "dists/stable/main/binary-amd64/Packages")
	ed, _ := exec.CommandContext(m.t.Context(), "diff", "--ed", before, now).Output() // 1 where they differ
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(ed)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	line := func(data string, name string) string {
		return fmt.Sprintf(" %s %d %s\n", debrepotest.Digests([]byte(data)).SHA256, len(data), name)
	}
	current := m.run(m.dir, "cat", now)
	m.write(dir+"/"+name+".gz", packed.String())
	m.write(dir+"/Index", "SHA256-Current:"+line(current, "")+"SHA256-History:\n"+line(old, name)+
		"SHA256-Patches:\n"+line(string(ed), name)+"SHA256-Download:\n"+line(packed.String(), name+".gz"))
	m.release("dists/stable", "stable", "all amd64 i386", "main extra")
}

// TestPdiffs come where the spec asks for them, and what clients are told makes
// apt use them there and ask for none elsewhere.
func TestPdiffs(t *testing.T) {
	m := newMaker(t, "apt-ftparchive", "diff")
	for i := range 30 { // so that the patch is smaller than the whole
		m.deb("pool/main", fmt.Sprintf("p%d", i), "1", "amd64")
	}
	m.ftparchive()
	old := m.run(m.dir, "cat", "dists/stable/main/binary-amd64/Packages")
	m.pdiff(old)
	upstream := upstreamOf(t, m.dir)
	spec := mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}}
	var mirrors []*mirror
	var machines []*client
	for _, spec.Indexes = range [][]string{nil, {"all", "pdiffs"}} {
		mirror := m.newMirror(spec, upstream)
		mirror.cycle(t)
		machine := newClient(t, mirror.file(t, mirror.url, ".sources"))
		machine.update()
		mirrors, machines = append(mirrors, mirror), append(machines, machine)
	}
	m.deb("pool/main", "alpha", "2", "amd64")
	m.ftparchive()
	m.pdiff(old)
	for i, chosen := range []bool{false, true} {
		mirrors[i].cycle(t)
		said := machines[i].update()
		machines[i].gets("alpha", "2")
		if strings.Contains(said, "2026-01-02-0000.00.pdiff") != chosen || strings.Contains(said, "Packages.diff") != chosen {
			t.Errorf("%v: apt uses patches: %v\n%s", mirrors[i].spec.Indexes, !chosen, said)
		}
	}
}
