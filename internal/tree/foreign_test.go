package tree_test

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// TestRefers follows a reference to another mirror's object from its commit to
// the end of its last generation, also through a commit that is cut off.
func TestRefers(t *testing.T) {
	dir := t.TempDir()
	crash := func(string) {}
	now := time.Now()
	cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state"), Crash: func(p string) { crash(p) },
		Now: func() time.Time { return now }}
	if _, err := tree.Setup(cfg, "wheels"); err != nil {
		t.Fatal(err)
	}
	open := func() *tree.Tree {
		tr, err := tree.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tr.Close() })
		return tr
	}
	refers := func(want bool, when string) {
		t.Helper()
		tr, err := tree.Read(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		f, err := tr.Refers("pypi")
		if err != nil {
			t.Fatal(err)
		}
		got, err := f("packages/x")
		if other, _ := f("packages/y"); err != nil || got != want || other {
			t.Errorf("%s: %v %v", when, got, err)
		}
	}
	commit := func(tr *tree.Tree, paths ...string) *tree.Generation {
		t.Helper()
		m, err := manifest.Write(tr, func(yield func(manifest.Entry, error) bool) {
			for _, p := range paths {
				if !yield(manifest.Entry{Path: manifest.ForeignPath("pypi", p), Kind: manifest.Foreign, Size: 1, Digest: sha256.Sum256([]byte(p))}, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		g, err := tr.Commit(context.Background(), tree.CommitRequest{Manifest: m})
		if err == nil {
			err = tr.Seal(g.Number)
		}
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	refers(false, "at first")
	cut := open()
	crash = func(p string) {
		if p == "commit/intent" {
			panic("cut off")
		}
	}
	func() {
		defer func() { _ = recover() }()
		commit(cut, "packages/x")
	}()
	crash = func(string) {}
	refers(true, "an intent")
	tr := open()
	refers(true, "committed")
	if g := commit(tr); g.Changes != (tree.Changes{}) || g.Totals.Objects != 0 {
		t.Errorf("a reference counts as a file: %+v", g)
	}
	refers(true, "dropped, and clients may still ask")
	if left, err := tr.Retained(); err != nil || len(left) != 0 {
		t.Errorf("a reference counts as retained: %v %v", left, err)
	}
	now = now.Add(2 * time.Hour)
	commit(tr)
	reaped, _, err := tr.Tend(context.Background(), now.Add(2*time.Hour), time.Hour, nil)
	if err != nil || reaped != (tree.Reaped{}) {
		t.Errorf("%+v %v", reaped, err)
	}
	refers(false, "in the end")
}
