package sdist_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/sdist"
)

func targz(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(members); i += 2 {
		h := &tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1])), Typeflag: tar.TypeReg}
		for mark, kind := range map[string]byte{"->": tar.TypeSymlink, "=>": tar.TypeLink} {
			if to, ok := strings.CutPrefix(members[i+1], mark); ok {
				h.Typeflag, h.Linkname, h.Size = kind, to, 0
			}
		}
		err := w.WriteHeader(h)
		if err == nil && h.Typeflag == tar.TypeReg {
			_, err = w.Write([]byte(members[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// repacked has a program of the machine compress what is in a .gz.
func repacked(t testing.TB, program string, gz []byte) []byte {
	t.Helper()
	_, err := exec.LookPath(program)
	need.That(t, err == nil, program+" is not installed")
	z, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c")
	cmd.Stdin = z
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zipped(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err == nil {
			_, err = w.Write([]byte(members[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, name string, data []byte) (sdist.Needs, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return sdist.Read(f, name)
}

func TestNeeds(t *testing.T) {
	const info = "Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b>=1\nRequires-Dist: c; extra == 'x'\n\nbody\n"
	const project = "[build-system]\nrequires = [\"pbr>=6\", \"setuptools\"]\n"
	legacy, backend := []string{"setuptools>=40.8.0", "wheel"}, "setuptools.build_meta:__legacy__"
	run := []string{"b>=1", "c; extra == 'x'"}
	for _, c := range []struct {
		name, file string
		data       []byte
		want       sdist.Needs
	}{
		{"both", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", info, "a-1/pyproject.toml", project), sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
		{"as zip", "a-1.zip", zipped(t, "a-1/PKG-INFO", info, "a-1/pyproject.toml", project), sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
		{"no build-system", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[tool.x]\n", "a-1/PKG-INFO", info), sdist.Needs{Build: legacy, Run: run, Backend: backend}},
		{"a build without needs", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[build-system]\nrequires = []\n"), sdist.Needs{Build: []string{}, Backend: backend}},
		{"a backend of its own", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"a.b:c\"\nbackend-path = [\".\", \"x\"]\n"),
			sdist.Needs{Build: []string{}, Backend: "a.b:c", BackendPath: []string{".", "x"}}},
		{"setup.py alone", "a-1.tar.gz", targz(t, "a-1/setup.py", "x"), sdist.Needs{Build: legacy, Backend: backend}},
		{"requires.txt of old", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", "Name: a\nVersion: 1\n",
			"a-1/a.egg-info/requires.txt", "b>=1\n\n[:python_version < \"3\"]\nc\n[x]\nd\n[y:os_name == \"nt\"]\ne\n"),
			sdist.Needs{Build: legacy, Run: []string{"b>=1", `c ; python_version < "3"`, `d ; extra == "x"`, `e ; (os_name == "nt") and extra == "y"`}, Backend: backend}},
		{"files further down", "a-1.tar.gz", targz(t, "a-1/tests/pyproject.toml", project, "a-1/tests/PKG-INFO", info, "a-1/x", ""), sdist.Needs{Build: legacy, Backend: backend}},
		{"two directories", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", info, "b-1/pyproject.toml", project), sdist.Needs{Build: legacy, Backend: backend}},
		{"a directory and a file", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", info, "pyproject.toml", project), sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Backend: backend}},
		{"members of one name", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[", "a-1/PKG-INFO", info, "./a-1/pyproject.toml", project),
			sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
		{"a link", "a-1.tar.gz", targz(t, "a-1/real/p.toml", project, "a-1/pyproject.toml", "->real/p.toml", "a-1/PKG-INFO", info),
			sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
		{"a hard link to a link", "a-1.tar.gz", targz(t, "a-1/p.toml", project, "a-1/q", "->./p.toml", "a-1/pyproject.toml", "=>a-1/q"),
			sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Backend: backend}},
		{"a link to the outside", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "->../../etc/passwd", "a-1/x", ""), sdist.Needs{Build: legacy, Backend: backend}},
		{"a link after the file", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[", "a-1/p", project, "a-1/pyproject.toml", "->p"),
			sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Backend: backend}},
		{"static metadata", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", strings.Replace(info, "2.1", "2.2", 1)+"", "a-1/x", ""), sdist.Needs{Build: legacy, Run: run, Backend: backend, Static: true}},
		{"a static project table", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[project]\nname = \"a\"\ndynamic = [\"version\"]\n", "a-1/PKG-INFO", info),
			sdist.Needs{Build: legacy, Run: run, Backend: backend, Static: true}},
		{"a dynamic project table", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "[project]\nname = \"a\"\ndynamic = [\"dependencies\"]\n", "a-1/PKG-INFO", info),
			sdist.Needs{Build: legacy, Run: run, Backend: backend}},
		{"dynamic metadata", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", "Dynamic: Requires-Dist\n"+strings.Replace(info, "2.1", "2.4", 1)), sdist.Needs{Build: legacy, Run: run, Backend: backend}},
		{"xz", "a-1.tar.xz", repacked(t, "xz", targz(t, "a-1/PKG-INFO", info, "a-1/pyproject.toml", project)), sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
		{"bzip2", "a-1.tar.bz2", repacked(t, "bzip2", targz(t, "a-1/PKG-INFO", info, "a-1/pyproject.toml", project)), sdist.Needs{Build: []string{"pbr>=6", "setuptools"}, Run: run, Backend: backend}},
	} {
		got, err := read(t, c.file, c.data)
		if err != nil {
			t.Error(c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestWhatIsNoSourceDistribution(t *testing.T) {
	good := targz(t, "a-1/PKG-INFO", "Name: a\nVersion: 1\n")
	for _, c := range []struct {
		name, file string
		data       []byte
		kind       fault.Kind
	}{
		{"not gzip", "a-1.tar.gz", []byte("<html>"), fault.Malformed},
		{"cut short", "a-1.tar.gz", good[:len(good)/2], fault.Malformed},
		{"not zip", "a-1.zip", good, fault.Malformed},
		{"other form", "a-1.tar.Z", good, fault.Malformed},
		{"not xz", "a-1.tar.xz", good, fault.Malformed},
		{"links in a circle", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "->x", "a-1/x", "->pyproject.toml"), fault.Hostile},
		{"no TOML", "a-1.tar.gz", targz(t, "a-1/pyproject.toml", "["), fault.Malformed},
		{"large metadata", "a-1.tar.gz", targz(t, "a-1/PKG-INFO", string(make([]byte, 5<<20))), fault.Hostile},
		{"large metadata in a zip", "a-1.zip", zipped(t, "a-1/PKG-INFO", string(make([]byte, 5<<20))), fault.Hostile},
	} {
		if _, err := read(t, c.file, c.data); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(targz(f, "a-1/PKG-INFO", "Name: a\nVersion: 1\n", "a-1/pyproject.toml", "[build-system]\nrequires=['x']"), true)
	f.Add(zipped(f, "a-1/PKG-INFO", "Name: a\nVersion: 1\n", "a-1/x.egg-info/requires.txt", "[a:b]\nc"), false)
	f.Fuzz(func(t *testing.T, data []byte, tarball bool) {
		name := "a-1.zip"
		if tarball {
			name = "a-1.tar.gz"
		}
		_, _ = read(t, name, data)
	})
}
