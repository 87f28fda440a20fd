package backendtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Content is a generation as a test writes it: paths to bytes. Paths below
// "dists/" are indexes, "dists/Release" is the pointer.
type Content map[string]string

// Date is a Content's path that is not a file: the upstream Date, RFC 3339.
const Date = "\x00date"

// Place is a tree as it was when one generation of it had just been sealed.
// Root and State are those of the storage; the mirror's are below them.
type Place struct {
	Root, State string
	Tree        string
}

// Scratch returns a directory for a test, in memory where the system has such a
// place: a suite that syncs at every step would otherwise wait for a disk.
func Scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mirrorcycle-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Prepare commits and seals the contents as generations 1, 2, … of one tree and
// returns the tree as it was after each.
func Prepare(t *testing.T, story ...Content) []Place {
	t.Helper()
	live := Place{Root: filepath.Join(Scratch(t), "trees"), State: filepath.Join(Scratch(t), "state")}
	// A generation is sealed after its objects have landed.
	cfg := tree.Config{Dir: filepath.Join(live.Root, Mirror), State: filepath.Join(live.State, Mirror), Holder: "test",
		Now: func() time.Time { return time.Now().Add(time.Hour) }}
	id, err := tree.Setup(cfg, Mirror)
	if err != nil {
		t.Fatal(err)
	}
	var out []Place
	for i, c := range story {
		if err := Commit(cfg, c, int64(i+1)); err != nil {
			t.Fatal(err)
		}
		dir := Scratch(t)
		p := Place{Root: filepath.Join(dir, "trees"), State: filepath.Join(dir, "state"), Tree: id.Tree}
		if err := errors.Join(os.CopyFS(p.Root, os.DirFS(live.Root)), os.CopyFS(p.State, os.DirFS(live.State))); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// Commit commits and seals c as generation n of a tree.
func Commit(cfg tree.Config, c Content, n int64) error {
	t, err := tree.Open(cfg)
	if err != nil {
		return err
	}
	defer t.Close()
	req := tree.CommitRequest{}
	if d, ok := c[Date]; ok {
		if req.Upstream.Date, err = time.Parse(time.RFC3339, d); err != nil {
			return err
		}
	}
	var entries []manifest.Entry
	for _, p := range slices.Sorted(maps.Keys(c)) {
		if p == Date {
			continue
		}
		e := entryOf(p, c[p])
		entries = append(entries, e)
		if err := land(t, e, c[p]); err != nil {
			return err
		}
	}
	req.Manifest, err = manifest.Write(t, func(yield func(manifest.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if _, err := t.Commit(context.Background(), req); err != nil {
		return err
	}
	return t.Seal(n)
}

func entryOf(p, data string) manifest.Entry {
	e := manifest.Entry{Path: p, Kind: manifest.Object, Size: int64(len(data)), Digest: sha256.Sum256([]byte(data))}
	switch {
	case p == "dists/Release":
		e.Kind = manifest.Pointer
	case strings.HasPrefix(p, "dists/"):
		e.Kind = manifest.Index1
	}
	return e
}

func land(t *tree.Tree, e manifest.Entry, data string) error {
	if e.Kind.IsIndex() {
		_, err := t.PutIndex([]byte(data))
		return err
	}
	// A file and a directory of one name cannot be in one tree.
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		if st, err := os.Lstat(filepath.Join(t.Dir(), dir)); err == nil && !st.IsDir() {
			os.Remove(filepath.Join(t.Dir(), dir))
		}
	}
	if st, err := os.Lstat(filepath.Join(t.Dir(), e.Path)); err == nil && st.IsDir() {
		os.RemoveAll(filepath.Join(t.Dir(), e.Path))
	}
	if old, err := os.ReadFile(filepath.Join(t.Dir(), e.Path)); err == nil && string(old) == data {
		return nil // as a fetch leaves alone what the tree holds
	}
	f, err := t.Create()
	if err != nil {
		return err
	}
	if _, err := f.WriteString(data); err != nil {
		return err
	}
	return f.Land(e.Path)
}

// Files reads what clients find in dir: paths to bytes, links followed, without .mirror.
func Files(dir string) (Content, error) {
	out := Content{}
	err := files(dir, "", out)
	return out, err
}

func files(dir, below string, out Content) error {
	entries, err := os.ReadDir(filepath.Join(dir, below))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(below, e.Name())
		if name == ".mirror" {
			continue
		}
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if st.IsDir() {
			if err := files(dir, name, out); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		out[name] = string(data)
	}
	return nil
}

// Untouched lists what is in dir with the times that any write would change.
func Untouched(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil {
			out[p] = st.Mode().String() + " " + st.ModTime().Format(time.RFC3339Nano)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
