package build_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
)

func newest(t *testing.T, name string, data []byte) (time.Time, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, err := build.NewestMember(f)
	if err == nil {
		if rest, err := io.ReadAll(f); err != nil || !bytes.Equal(rest, data) {
			t.Errorf("the file is not at its beginning: %d bytes, %v", len(rest), err)
		}
	}
	return at, err
}

func zipOf(modified time.Time) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if _, err := z.CreateHeader(&zip.FileHeader{Name: "a", Modified: modified}); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestNewestMember(t *testing.T) {
	sdist, _ := rootlab.SDist(t, "demo", "1", nil)
	tgz, err := os.ReadFile(sdist)
	if err != nil {
		t.Fatal(err)
	}
	year := func(y int) time.Time { return time.Date(y, 5, 6, 7, 8, 10, 0, time.UTC) }
	for _, tt := range []struct {
		name string
		data []byte
		want time.Time
	}{
		{"a-1.tar.gz", tgz, year(2024)}, {"a-1.zip", zipOf(year(2020)), year(2020)},
		{"a-1.zip", zipOf(time.Time{}), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if got, err := newest(t, tt.name, tt.data); err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
	for name, data := range map[string][]byte{"a-1.tar.gz": tgz[:50], "a-1.zip": tgz, "a-1.rar": tgz, "a-1.tar.xz": tgz} {
		if at, err := newest(t, name, data); err == nil {
			t.Errorf("%s: %s", name, at)
		}
	}
}

func FuzzNewestMember(f *testing.F) {
	f.Add(zipOf(time.Now()), true)
	f.Add([]byte("\x1f\x8b"), false)
	f.Fuzz(func(t *testing.T, data []byte, isZip bool) {
		name := "a-1.tar.gz"
		if isZip {
			name = "a-1.zip"
		}
		at, err := newest(t, name, data)
		if err == nil && (at.Year() < 1980 || at.Year() > 2107) {
			t.Error(at)
		}
	})
}
