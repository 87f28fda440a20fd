package debrepotest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Deb describes a package; its zero Files make a package of one file below
// /usr/share/doc.
type Deb struct {
	Name    string
	Version string
	Arch    string            // "all" if empty
	Depends string            // as in a control file
	Files   map[string]string // absolute path → content, mode 0644 (0755 below a bin directory)
}

// Bytes builds the .deb (deb(5)): an ar archive of debian-binary, control.tar.gz
// and data.tar.gz that dpkg installs. Equal values give equal bytes.
func (d Deb) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	member := func(name string, data []byte) {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, Epoch.Unix(), 0, 0, 0o100644, len(data))
		b.Write(data)
		if len(data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	member("debian-binary", []byte("2.0\n"))
	member("control.tar.gz", tarball(map[string]string{"/control": d.control()}))
	member("data.tar.gz", tarball(d.files()))
	return b.Bytes()
}

// Filename is the name in the pool; an epoch does not appear in it.
func (d Deb) Filename() string {
	version := d.Version
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	return fmt.Sprintf("%s_%s_%s.deb", d.Name, version, d.arch())
}

func (d Deb) arch() string {
	if d.Arch == "" {
		return "all"
	}
	return d.Arch
}

func (d Deb) control() string {
	c := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\n", d.Name, d.Version, d.arch())
	if d.Depends != "" {
		c += "Depends: " + d.Depends + "\n"
	}
	return c + "Description: " + d.description() + "\n"
}

func (d Deb) description() string { return "package " + d.Name + " of a test archive" }

func (d Deb) files() map[string]string {
	if d.Files == nil {
		return map[string]string{"/usr/share/doc/" + d.Name + "/README": d.Name + " " + d.Version + "\n"}
	}
	return d.Files
}

// tarball packs files and the directories that lead to them, in order of path.
func tarball(files map[string]string) []byte {
	entries := map[string]bool{"/": true}
	for name := range files {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			entries[dir] = true
		}
		entries[name] = false
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		h := &tar.Header{Name: "." + name, Mode: 0o644, Size: int64(len(files[name])), ModTime: Epoch, Uname: "root", Gname: "root", Format: tar.FormatGNU}
		if entries[name] {
			h.Name, h.Mode, h.Typeflag, h.Size = "."+strings.TrimSuffix(name, "/")+"/", 0o755, tar.TypeDir, 0
		} else if strings.HasSuffix(path.Dir(name), "bin") {
			h.Mode = 0o755
		}
		if err := t.WriteHeader(h); err != nil {
			panic("debrepotest: " + err.Error()) // a bytes.Buffer takes everything; only a bad header fails
		}
		t.Write([]byte(files[name]))
	}
	t.Close()
	z.Close()
	return b.Bytes()
}
