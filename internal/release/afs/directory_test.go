package afs_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/afs"
)

// memory is a manifest store.
type memory map[manifest.Digest][]byte

func (m memory) ReadSegment(d manifest.Digest) ([]byte, error) { return m[d], nil }
func (m memory) WriteSegment(d manifest.Digest, b []byte) error {
	m[d] = bytes.Clone(b)
	return nil
}

func listed(t *testing.T, paths []string) *manifest.Manifest {
	t.Helper()
	slices.Sort(paths)
	m, err := manifest.Write(memory{}, func(yield func(manifest.Entry, error) bool) {
		for _, p := range paths {
			if !yield(manifest.Entry{Path: p, Kind: manifest.Object}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func each(paths []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, p := range paths {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func numbered(n int, format string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}

func TestFit(t *testing.T) {
	retained := map[string]manifest.Entry{}
	for _, p := range numbered(2000, "simple/gone%d") {
		retained[p] = manifest.Entry{Path: p}
	}
	below := map[string]manifest.Entry{}
	for _, p := range slices.Concat(numbered(2000, "simple/gone%d/a.whl"), numbered(2000, "simple/gone%d/b.whl"), numbered(2000, "simple/p%d/a.whl")) {
		below[p] = manifest.Entry{Path: p}
	}
	cases := []struct {
		name     string
		now      []string
		retained map[string]manifest.Entry
		added    []string
		full     string
	}{
		{"nothing", nil, nil, nil, ""},
		{"short names", nil, nil, numbered(64000, "pool/p%d"), ""},
		{"too many short names", nil, nil, numbered(64500, "pool/p%d"), "/pool"},
		{"longer names take two slots", nil, nil, numbered(32300, "pool/package-of-16%08d"), "/pool"},
		{"with what is there", numbered(62000, "simple/p%d/index.html"), nil, numbered(1500, "simple/q%d/index.html"), ""},
		{"too many with what is there", numbered(62000, "simple/p%d/index.html"), nil, numbered(3000, "simple/q%d/index.html"), "/simple"},
		{"and with what is retained", numbered(62000, "simple/p%d/index.html"), retained, numbered(1500, "simple/q%d/index.html"), "/simple"},
		{"and with directories of what is retained", numbered(62000, "simple/p%d/index.html"), below, numbered(1500, "simple/q%d/index.html"), "/simple"},
		{"which count once", numbered(60200, "simple/p%d/index.html"), below, numbered(2000, "simple/q%d/index.html"), ""},
		{"and not beside what is added", numbered(62000, "simple/p%d/index.html"), below, numbered(2000, "simple/gone%d/index.html"), ""},
		{"a file more in each directory", numbered(62000, "simple/p%d/index.html"), nil, numbered(62000, "simple/p%d/index.json"), ""},
		{"spread over directories", nil, nil, slices.Concat(numbered(40000, "a/p%d"), numbered(40000, "b/p%d")), ""},
		{"in the top directory", numbered(64000, "p%d"), nil, numbered(1000, "q%d"), "/"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := afs.Fit(listed(t, c.now), c.retained, each(c.added))
			switch {
			case c.full == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.full != "" && (!errors.Is(err, fault.NoSpace) || !strings.Contains(err.Error(), "directory "+c.full+":")):
				t.Errorf("got %v, want no space in %s", err, c.full)
			}
		})
	}
}
