package real_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/simpleindex"
)

// readProjects reads the files that were downloaded, by normalised project.
func readProjects(t *testing.T, dir string) map[string]lab.Object {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]lab.Object{}
	for _, e := range entries {
		o := lab.Object{Filename: e.Name()}
		if o.Data, err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
		name, rest, _ := strings.Cut(e.Name(), "-")
		if o.Version = strings.TrimSuffix(rest, ".tar.gz"); strings.HasSuffix(rest, ".whl") {
			o.Version, _, _ = strings.Cut(rest, "-")
			o.Metadata = metadata(t, o)
			for line := range strings.Lines(string(o.Metadata)) {
				if want, ok := strings.CutPrefix(line, "Requires-Python: "); ok {
					o.RequiresPython = strings.TrimSpace(want)
				}
			}
		}
		out[simpleindex.Normalize(name)] = o
	}
	return out
}

// metadata returns METADATA out of a wheel.
func metadata(t *testing.T, o lab.Object) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(o.Data), int64(len(o.Data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".dist-info/METADATA") || strings.Count(f.Name, "/") != 1 {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	t.Fatal("no METADATA in " + o.Filename)
	return nil
}
