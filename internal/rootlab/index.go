package rootlab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/simpleindex"
)

// What is downloaded for tests: sdists to build, and what builds them. The
// versions are fixed, as the expected results are.
var (
	sdists = []string{"MarkupSafe==2.1.5", "PyYAML==6.0.2", "six==1.17.0", "idna==3.10"}
	tools  = []string{"setuptools==80.9.0", "wheel==0.45.1", "flit-core==3.12.0", "cython==3.1.2"}
)

// Packages returns a directory with a few real sdists and the wheels that their
// builds need, downloaded once by the machine's own pip.
func Packages(tb testing.TB) string {
	tb.Helper()
	made.Lock()
	defer made.Unlock()
	dir, err := pipDownload("sdists", recent, [][]string{sourceArgs(sdists), append([]string{"--only-binary", ":all:", "--platform", "any"}, tools...)})
	need.That(tb, err == nil, fmt.Sprint("no real sdists: ", err))
	return dir
}

// Find returns the path of a project's sdist in a directory, and its SHA-256.
func Find(tb testing.TB, dir, project string) (path, digest string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := simpleindex.FileVersion(project, e.Name()); ok && strings.HasSuffix(e.Name(), ".tar.gz") {
			path = filepath.Join(dir, e.Name())
			return path, digestOf(tb, path)
		}
	}
	tb.Fatalf("%s has no sdist of %s", dir, project)
	return "", ""
}

func digestOf(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Index serves the files of a directory as a mirror lays them out: simple/ and packages/.
func Index(tb testing.TB, dir string) http.Handler {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	projects := map[string]*simpleindex.Project{}
	mux := http.NewServeMux()
	for _, e := range entries {
		f := simpleindex.File{Filename: e.Name(), SHA256: digestOf(tb, filepath.Join(dir, e.Name())), Size: -1}
		name, _ := PinOf(e.Name())
		if projects[name] == nil {
			projects[name] = &simpleindex.Project{Name: name}
		}
		projects[name].Files = append(projects[name].Files, f)
		mux.HandleFunc("/"+simpleindex.ObjectPath("", f.SHA256, f.Filename), func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, f.Filename))
		})
	}
	for name, p := range projects {
		page, html := p.RenderJSON(simpleindex.RenderOptions{}), p.RenderHTML(simpleindex.RenderOptions{})
		mux.HandleFunc("/"+simpleindex.ProjectPath(name)+"/{$}", func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept"), simpleindex.MediaV1JSON) { // an old pip
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = w.Write(html)
				return
			}
			w.Header().Set("Content-Type", simpleindex.MediaV1JSON)
			_, _ = w.Write(page)
		})
	}
	return mux
}

// SDist writes an sdist of the files, by path below its top directory, and
// returns its path and SHA-256. PKG-INFO is made.
func SDist(tb testing.TB, name, version string, files map[string]string) (path, digest string) {
	tb.Helper()
	top := name + "-" + version + "/"
	members := map[string]string{"PKG-INFO": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"}
	for n, text := range files {
		members[n] = text
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for n, text := range members {
		h := &tar.Header{Name: top + n, Mode: 0o644, Size: int64(len(text)), ModTime: time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)}
		if err := t.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := t.Write([]byte(text)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := t.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	path = filepath.Join(tb.TempDir(), name+"-"+version+".tar.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path, digestOf(tb, path)
}
