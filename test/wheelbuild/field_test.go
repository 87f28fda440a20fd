package wheelbuild_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/rootlab"
)

// member is one entry of an archive: "->x" is a symbolic link, "=>x" a hard one.
type member struct{ name, text string }

// packed is an sdist of members in their order, in the form that its name tells.
func packed(t *testing.T, name string, members ...member) (path, digest string) {
	t.Helper()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.text)), ModTime: time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC), Typeflag: tar.TypeReg}
		for mark, kind := range map[string]byte{"->": tar.TypeSymlink, "=>": tar.TypeLink} {
			if to, ok := strings.CutPrefix(m.text, mark); ok {
				h.Typeflag, h.Linkname, h.Size = kind, to, 0
			}
		}
		err := w.WriteHeader(h)
		if err == nil && h.Typeflag == tar.TypeReg {
			_, err = io.WriteString(w, m.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	data := compressed(t, name, plain.Bytes())
	sum := sha256.Sum256(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, hex.EncodeToString(sum[:])
}

func compressed(t *testing.T, name string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch {
	case strings.HasSuffix(name, ".gz"):
		z := gzip.NewWriter(&out)
		_, err := z.Write(plain)
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
	default:
		cmd := exec.Command(map[string]string{".xz": "xz", ".bz2": "bzip2"}[filepath.Ext(name)], "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(plain), &out
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func logOf(t *testing.T, r build.Request, res build.Result) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(r.Dir, res.Log))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// TestSourcesAsTheFieldHasThem builds archives that older or other tools made.
func TestSourcesAsTheFieldHasThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"
	info := member{"demo-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.6.*\n"}
	code := member{"demo-1.0/backend.py", backend + "    return wheel(directory, name, version, record)\n"}
	toml := func(text string) member { return member{"demo-1.0/pyproject.toml", text} }
	tests := map[string]struct {
		file    string
		members []member
		pip     bool
	}{
		"a link":              {"demo-1.0.tar.gz", []member{info, code, {"demo-1.0/conf/p.toml", project}, toml("->conf/p.toml")}, false},
		"a hard link":         {"demo-1.0.tar.gz", []member{info, code, {"demo-1.0/p.toml", project}, toml("=>demo-1.0/p.toml")}, false},
		"twice":               {"demo-1.0.tar.gz", []member{info, code, toml("[build-system]\nrequires = ['none-such']\n"), toml(project)}, false},
		"xz":                  {"demo-1.0.tar.xz", []member{info, code, toml(project)}, false},
		"bzip2":               {"demo-1.0.tar.bz2", []member{info, code, toml(project)}, false},
		"two top directories": {"demo-1.0.tar.gz", []member{info, code, toml(project), {"docs/index.rst", "demo\n"}}, true},
		"nothing describes":   {"demo-1.0.tar.gz", []member{info, code, {"demo-1.0/setup.cfg", "[metadata]\nname = demo\nversion = 1.0\n"}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, digest := packed(t, tt.file, tt.members...)
			req := r.request(t, rootlab.Debian12, "demo", "1.0", path, digest)
			res := run(t, req)
			log := logOf(t, req, res)
			if pip := strings.Contains(log, "pip does it all") || strings.Contains(log, ": pip wheel]"); res.Class != "" && !tt.pip || pip != tt.pip {
				t.Errorf("%+v: %s", res, log)
			}
		})
	}
}

// TestBuildConstraints: what builds are made with stays within what the spec
// says, in an environment that is kept and in one that pip makes by itself.
func TestBuildConstraints(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	for _, version := range []string{"1.0", "2.0"} {
		file, data := enginetest.Wheel("tool", version, "py3-none-any")
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.index = rootlab.Index(t, dir)
	for _, root := range []string{rootlab.Debian12, rootlab.Debian13} {
		for version, constraints := range map[string][]string{"2.0": nil, "1.0": {"tool<2", "other==1"}} {
			path, digest := rootlab.SDist(t, "demo", "1.0", map[string]string{
				"pyproject.toml": "[build-system]\nrequires = ['tool']\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
				"backend.py":     backend + "    import tool; assert tool.version == '" + version + "', tool.version\n    return wheel(directory, name, version, record)\n"})
			for _, environments := range []*build.Environments{r.environments, nil} {
				req := r.request(t, root, "demo", "1.0", path, digest)
				req.Constraints, req.Environments = constraints, environments
				if res := run(t, req); res.Class != "" {
					t.Errorf("%s with %q: %+v: %s", root, constraints, res, logOf(t, req, res))
				}
			}
		}
	}
}

// TestCompiledAsPythonWas: a module is compiled with the flags of the root's
// Python and without debugging symbols; everybody may read it, though the worker
// lets nobody read what it writes; an upload in 1970 is no time that a wheel bears.
func TestCompiledAsPythonWas(t *testing.T) {
	r := newRig(t)
	path, digest := rootlab.Find(t, r.input, "MarkupSafe")
	req := r.request(t, rootlab.Debian12, "MarkupSafe", "2.1.5", path, digest)
	req.Epoch = time.Unix(1, 0)
	defer syscall.Umask(syscall.Umask(0o077))
	res := run(t, req)
	log := logOf(t, req, res)
	if res.Class != "" || !strings.Contains(log, "-fwrapv") || !strings.Contains(log, "-g0") || !strings.Contains(log, "-DNDEBUG") {
		t.Fatalf("%+v: %s", res, log)
	}
	z, err := zip.OpenReader(filepath.Join(req.Dir, res.File))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if f.Mode().Perm()&0o044 != 0o044 || f.Modified.Year() < 1980 {
			t.Errorf("%s has mode %s and time %s", f.Name, f.Mode(), f.Modified)
		}
	}
}

// TestARootWithAnOldPip has a pip that cannot serve another environment, and no /etc/hosts.
func TestARootWithAnOldPip(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, p := range []struct{ name, version string }{{"MarkupSafe", "2.1.5"}, {"six", "1.17.0"}} {
		path, digest := rootlab.Find(t, r.input, p.name)
		req := r.request(t, rootlab.Debian11, p.name, p.version, path, digest)
		req.Constraints = []string{"setuptools<81"}
		if res := run(t, req); res.Class != "" {
			t.Errorf("%+v: %s", res, logOf(t, req, res))
		}
	}
}

// TestAsManyProcessesAsNinjaStarts: a build may have more of them than a small
// machine has cores, unless the spec says less.
func TestAsManyProcessesAsNinjaStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	many := limits
	many.Processes = 0
	if res, log := r.attack(t, "import subprocess\nfor p in [subprocess.Popen(['sleep', '1']) for _ in range(300)]: p.wait()", many); res.Class != "" {
		t.Errorf("%+v: %s", res, log)
	}
}
