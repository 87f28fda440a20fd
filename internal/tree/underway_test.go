package tree_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// halfway leaves a commit of next behind that was cut off right after its
// intent, as by an error of the disk: the run goes on, and tends the tree.
func halfway(t *testing.T, dir, point string, next content) *tree.Tree {
	t.Helper()
	tr, err := tree.Open(config(dir, func(p string) {
		if p == point {
			panic(stop{})
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if r := recover(); r != (stop{}) {
				t.Fatalf("the commit ended by %v", r)
			}
		}()
		err := commit(tr, next)
		t.Fatalf("the commit came to its end: %v", err)
	}()
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err = tree.Resume(config(dir, nil), tr.Epoch())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestTendKeepsWhatACommitUnderWayNeeds: whoever opens the tree next finishes
// the commit, so its manifest, the contents of its indexes and its objects must
// outlive the rest of the run that could not.
func TestTendKeepsWhatACommitUnderWayNeeds(t *testing.T) {
	dir := setup(t)
	tr, err := tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range story[:2] { // the second one drops pool/a.deb
		if err := commit(tr, c); err != nil {
			t.Fatal(err)
		}
	}
	// What the next one names: a dropped object again, and one that its plan brought.
	next := content{"pool/a.deb": "aaa", "pool/n.deb": "n", "dists/Packages": "a n", "dists/Release": "3"}
	w, err := tr.NewPlan(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	if err := w.Fetch(tree.Item{Path: "pool/n.deb", Size: 1, SHA256: hexOf("n")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}

	tr = halfway(t, dir, "commit/intent", next)
	later := time.Now().Add(1000 * time.Hour)
	reaped, expired, err := tr.Tend(t.Context(), later, time.Hour, nil)
	if err != nil || expired != 1 {
		t.Fatalf("reaped %+v, expired %d: %v", reaped, expired, err)
	}
	if err := errors.Join(tr.TendPlans(t.Context(), later, time.Hour), tr.Close()); err != nil {
		t.Fatal(err)
	}
	tr, err = tree.Open(config(dir, nil))
	if err != nil {
		t.Fatalf("nobody can finish the commit any more: %v", err)
	}
	defer tr.Close()
	if g, err := tr.Committed(); err != nil || g.Number != 3 {
		t.Fatalf("generation %+v: %v", g, err)
	}
	for p, want := range next {
		if got, err := os.ReadFile(filepath.Join(dir, "tree", p)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	if _, there, err := tr.Stat("pool/b/b.deb"); !there || err != nil {
		t.Errorf("what the commit dropped is gone: %v", err)
	}
}

// TestMendWaitsForACommitUnderWay: an index that the commit has replaced
// already is not damaged, and its bytes are those that the state keeps for it.
func TestMendWaitsForACommitUnderWay(t *testing.T) {
	dir := setup(t)
	tr, err := tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(commit(tr, story[0]), tr.Close()); err != nil {
		t.Fatal(err)
	}
	tr = halfway(t, dir, "served", story[1])
	old := manifest.Entry{Path: "dists/Packages", Kind: manifest.Index1, Size: 3, Digest: sha256.Sum256([]byte("a b"))}
	f, ok, err := tr.Kept(old.Digest, old.Path)
	if !ok || err != nil {
		t.Fatalf("kept: %v, %v", ok, err)
	}
	if err := tr.Mend(old, f); !errors.Is(err, fault.Early) {
		t.Errorf("mended what is not damaged: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err = tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for p, want := range story[1] {
		if got, err := os.ReadFile(filepath.Join(dir, "tree", p)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", p, got, err, want)
		}
	}
}

func hexOf(data string) string { return manifest.Digest(sha256.Sum256([]byte(data))).String() }
