package mirror

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/tree"
)

// TestStandingNotesAreToldOnce has one run after another note what stands, with
// a second attempt of each; what passes, and what is forgotten, is always new.
func TestStandingNotesAreToldOnce(t *testing.T) {
	dir := t.TempDir()
	cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
	if _, err := tree.Setup(cfg, "demo"); err != nil {
		t.Fatal(err)
	}
	memo := filepath.Join(cfg.State, "memo", "standing")
	run := func(units ...string) (known []string) {
		t.Helper()
		tr, err := tree.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		for range 2 {
			known = nil
			var notes []tree.Note
			for _, u := range units {
				notes = append(notes, tree.Note{Unit: u, Error: "no", Standing: u != "passes", Known: u == "told by a commit"})
			}
			if err := recognise(tr, notes); err != nil {
				t.Fatal(err)
			}
			for i, n := range notes {
				if n.Known {
					known = append(known, n.Unit)
				} else if len(known) > 0 {
					t.Errorf("%s, which is new, is note %d after known ones", n.Unit, i)
				}
			}
		}
		return known
	}
	steps := []struct {
		name        string
		units, want []string
	}{
		{"nothing", nil, nil},
		{"the first", []string{"a", "passes"}, nil},
		{"one more", []string{"a", "passes", "b"}, []string{"a"}},
		{"the same", []string{"a", "b", "passes"}, []string{"a", "b"}},
		{"what its engine knows", []string{"told by a commit", "a", "b"}, []string{"told by a commit", "a", "b"}},
		{"that is mended", []string{"a", "b"}, []string{"a", "b"}},
		{"one is mended", []string{"b"}, []string{"b"}},
		{"and breaks again", []string{"a", "b"}, []string{"b"}},
		{"what its engine knows", []string{"told by a commit", "a", "b"}, []string{"told by a commit", "a", "b"}},
		{"that is mended", []string{"a", "b"}, []string{"a", "b"}},
	}
	for _, s := range steps {
		if diff := cmp.Diff(s.want, run(s.units...)); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
	run("a", "b") // forgets what only an engine knew
	before, err := os.Stat(memo)
	if err != nil {
		t.Fatal(err)
	}
	run("a", "b")
	if after, err := os.Stat(memo); err != nil || !os.SameFile(before, after) {
		t.Errorf("a run without news writes: %v", err)
	}
	if err := os.WriteFile(memo, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if known := run("a", "b"); known != nil {
		t.Errorf("%v are known without memory", known)
	}
}
