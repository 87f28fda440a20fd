package real_test

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

// deb is a real package.
type deb struct {
	name, version, arch, source string
	control                     string // as dpkg-deb shows it
	data                        []byte
}

// readDeb asks dpkg-deb what a file is.
func readDeb(file string) (deb, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return deb{}, err
	}
	control, err := run(machine(), "dpkg-deb", "-f", file)
	if err != nil {
		return deb{}, err
	}
	d := deb{control: strings.TrimRight(control, "\n") + "\n", data: data}
	for line := range strings.Lines(control) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Package":
			d.name = value
		case "Version":
			d.version = value
		case "Architecture":
			d.arch = value
		case "Source":
			d.source, _, _ = strings.Cut(value, " ")
		}
	}
	if d.source == "" {
		d.source = d.name
	}
	return d, nil
}

// readDebs reads every package that was downloaded.
func readDebs(t *testing.T, dir string) (debs []deb) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		d, err := readDeb(f)
		if err != nil {
			t.Fatal(err)
		}
		debs = append(debs, d)
	}
	return debs
}

// newer packs d again under a higher version.
func newer(t *testing.T, d deb, suffix string) deb {
	t.Helper()
	dir := t.TempDir()
	file, root := filepath.Join(dir, "old.deb"), filepath.Join(dir, "root")
	if err := os.WriteFile(file, d.data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(machine(), "dpkg-deb", "-R", file, root); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(root, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("\nVersion: "+d.version+"\n"), []byte("\nVersion: "+d.version+suffix+"\n"), 1)
	if err := os.WriteFile(control, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(machine(), "dpkg-deb", "--root-owner-group", "-b", root, file); err != nil {
		t.Fatal(err)
	}
	d, err = readDeb(file)
	if err != nil || !strings.HasSuffix(d.version, suffix) {
		t.Fatalf("%s %v", d.version, err)
	}
	return d
}

// path is where an archive has the package (Debian policy names no layout; this is dak's).
func (d deb) path() string {
	prefix := d.source[:1]
	if strings.HasPrefix(d.source, "lib") && len(d.source) > 3 {
		prefix = d.source[:4]
	}
	_, version, ok := strings.Cut(d.version, ":")
	if !ok {
		version = d.version
	}
	return path.Join("pool/main", prefix, d.source, fmt.Sprintf("%s_%s_%s.deb", d.name, version, d.arch))
}

// find returns the package of that name.
func find(t *testing.T, debs []deb, name string) deb {
	t.Helper()
	i := slices.IndexFunc(debs, func(d deb) bool { return d.name == name })
	if i < 0 {
		t.Fatal("not downloaded: " + name)
	}
	return debs[i]
}

// without returns debs but for one.
func without(debs []deb, name string) []deb {
	return slices.DeleteFunc(slices.Clone(debs), func(d deb) bool { return d.name == name })
}

// archive signs the suite "stable" of these packages, whose architecture rel names.
func archive(t *testing.T, debs []deb, rel debrepo.Release, key *openpgp.Entity) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	var index bytes.Buffer
	for _, d := range debs {
		sums := debrepotest.Digests(d.data)
		fmt.Fprintf(&index, "%sFilename: %s\nSize: %d\nMD5sum: %s\nSHA256: %s\n\n", d.control, d.path(), len(d.data), sums.MD5, sums.SHA256)
		files[d.path()] = d.data
	}
	rel.Suite, rel.Codename, rel.Origin, rel.Components, rel.AcquireByHash = "stable", "stable", "Real", []string{"main"}, true
	name := "main/binary-" + rel.Architectures[0] + "/Packages"
	for _, form := range []string{"", "xz", "gz"} {
		data, err := debrepotest.Compress(form, index.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		sums := debrepotest.Digests(data)
		f := debrepo.File{Path: name, Size: int64(len(data)), Hashes: debrepo.Hashes{MD5: sums.MD5, SHA256: sums.SHA256}}
		if form != "" {
			f.Path += "." + form
			files["dists/stable/"+f.Path] = data
			for _, p := range debrepo.ByHashPaths(f) {
				files["dists/stable/"+p] = data
			}
		}
		rel.Files = append(rel.Files, f)
	}
	text := rel.Text()
	signed, err := debrepo.Clearsign(text, rel.Date, key)
	if err != nil {
		t.Fatal(err)
	}
	files["dists/stable/Release"], files["dists/stable/InRelease"] = text, signed
	return files
}
