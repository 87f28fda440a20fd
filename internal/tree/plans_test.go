package tree_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

func open(t *testing.T, dir string) *tree.Tree {
	t.Helper()
	tr, err := tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// plan stores a plan that wants objects of one byte.
func plan(t *testing.T, tr *tree.Tree, paths ...string) *tree.Plan {
	t.Helper()
	base, err := tr.Committed()
	if err != nil {
		t.Fatal(err)
	}
	w, err := tr.NewPlan(base)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	for _, p := range paths {
		if err := w.Fetch(tree.Item{Path: p, Size: 1, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	digest, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tr.OpenPlan(digest)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func bring(t *testing.T, tr *tree.Tree, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := put(tr, manifest.Entry{Path: p, Kind: manifest.Object}, "x"); err != nil {
			t.Fatal(err)
		}
	}
}

func wantThere(t *testing.T, tr *tree.Tree, want map[string]bool) {
	t.Helper()
	for p, want := range want {
		if _, there, err := tr.Stat(p); there != want || err != nil {
			t.Errorf("%s: there %v (%v), want %v", p, there, err, want)
		}
	}
}

func TestWhatAPlanBroughtWaitsForALaterCommit(t *testing.T) {
	dir := setup(t)
	tr := open(t, dir)
	older := plan(t, tr, "pool/both.deb", "pool/older.deb")
	newer := plan(t, tr, "pool/both.deb", "pool/newer.deb")
	empty := plan(t, tr, "pool/never-came.deb")
	bring(t, tr, "pool/both.deb", "pool/older.deb", "pool/newer.deb")
	now := time.Now()
	age := func(p *tree.Plan, by time.Duration) {
		if err := os.Chtimes(filepath.Join(tr.State(), "plan", p.Digest), now, now.Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
	age(older, 3*time.Hour)
	age(newer, time.Hour)
	age(empty, time.Hour)
	if err := tr.TendPlans(t.Context(), now, 5*time.Hour); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/both.deb": true, "pool/older.deb": true, "pool/newer.deb": true})
	if got, err := tr.Awaited(t.Context()); len(got) != 3 || !got["pool/older.deb"] || err != nil {
		t.Errorf("%v wait for a commit (%v)", got, err)
	}
	if _, err := tr.OpenPlan(empty.Digest); err == nil {
		t.Error("a plan that brought nothing is kept")
	}
	if err := tr.TendPlans(t.Context(), now, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/both.deb": true, "pool/older.deb": false, "pool/newer.deb": true})
	if plan(t, tr, "pool/both.deb", "pool/newer.deb").Digest != newer.Digest {
		t.Fatal("the same plan has another digest")
	}
	age(newer, 3*time.Hour)
	if err := tr.TendPlans(t.Context(), now, 2*time.Hour, newer.Digest); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/both.deb": true, "pool/newer.deb": true})
	if err := tr.TendPlans(t.Context(), now, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/both.deb": false, "pool/newer.deb": false})
}

func TestPlanMadeAnewIsFresh(t *testing.T) {
	tr := open(t, setup(t))
	p := plan(t, tr, "pool/a.deb")
	name := filepath.Join(tr.State(), "plan", p.Digest)
	if err := os.Chtimes(name, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	plan(t, tr, "pool/a.deb")
	if st, err := os.Stat(name); err != nil || st.ModTime().Unix() == 0 {
		t.Errorf("the plan is as old as before: %v", err)
	}
}

func TestTornPlanIsRemoved(t *testing.T) {
	tr := open(t, setup(t))
	p := plan(t, tr, "pool/a.deb")
	if err := os.Truncate(filepath.Join(tr.State(), "plan", p.Digest, "plan.json"), 0); err != nil {
		t.Fatal(err)
	}
	if err := tr.TendPlans(t.Context(), time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(tr.State(), "plan")); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func TestRedoOfAShardThatLostAnObject(t *testing.T) {
	tr := open(t, setup(t))
	p := plan(t, tr, "pool/a.deb", "pool/b.deb")
	bring(t, tr, "pool/a.deb", "pool/b.deb")
	if err := p.Done(0, []tree.Result{{Path: "pool/a.deb", Size: 1}, {Path: "pool/b.deb", Size: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Redo(); err != nil || !p.IsDone(0) {
		t.Fatalf("a whole shard is done again (%v)", err)
	}
	if err := os.Remove(filepath.Join(tr.Dir(), "pool/b.deb")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Lacking(0); n != 1 || err != nil {
		t.Errorf("%d bytes are lacking (%v), want 1", n, err)
	}
	if err := p.Redo(); err != nil || p.IsDone(0) {
		t.Errorf("the shard counts as done, and an object of it is gone (%v)", err)
	}
}

// TestTendKeepsWhatReleasesTake has generations that never pass verification:
// a region that comes late still gets the newest sealed one, whole.
func TestTendKeepsWhatReleasesTake(t *testing.T) {
	dir := setup(t)
	tr := open(t, dir)
	for i, c := range []content{story[0], story[1], story[3]} {
		if err := commit(tr, c); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := tr.Seal(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	late := config(dir, nil).Now().Add(30 * 24 * time.Hour)
	if _, _, err := tr.Tend(context.Background(), late, time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/a.deb": true, "pool/b/b.deb": true, "pool/c.deb": true})
	if err := tr.Seal(3); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Tend(context.Background(), late, time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	wantThere(t, tr, map[string]bool{"pool/a.deb": false, "pool/b/b.deb": false, "pool/c.deb": false, "pool/d.deb": true})
	for _, kind := range []string{"segments", "index"} {
		dirs, err := filepath.Glob(filepath.Join(dir, "state", kind, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			if names, err := os.ReadDir(d); err != nil || len(names) == 0 {
				t.Errorf("%s is left empty, %v", d, err)
			}
		}
	}
}

// TestPlanRefusesAbsurdSizes: a size near the largest number would make the
// sum negative, so that every disk seemed to have room for an endless answer.
func TestPlanRefusesAbsurdSizes(t *testing.T) {
	w, err := open(t, setup(t)).NewPlan(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	for range 3 {
		if err := w.Fetch(tree.Item{Path: "pool/a", Size: math.MaxInt64 / 2, SHA256: fmt.Sprintf("%064d", 1)}); !errors.Is(err, fault.Hostile) {
			t.Errorf("got %v, want hostile", err)
		}
	}
	if err := w.Fetch(tree.Item{Path: "pool/b", Size: 100 << 30, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
		t.Error(err)
	}
	if got := w.Info().Bytes; got != 100<<30 {
		t.Errorf("%d bytes to fetch", got)
	}
}

// TestWantLooksForWhatIsRetained: a reaping that was cut short leaves the record
// of a drop whose objects are gone in part.
func TestWantLooksForWhatIsRetained(t *testing.T) {
	dir := setup(t)
	tr := open(t, dir)
	if err := errors.Join(commit(tr, story[0]), commit(tr, story[1])); err != nil {
		t.Fatal(err)
	}
	want := tree.Item{Path: "pool/a.deb", Size: 3, SHA256: hexOf("aaa")}
	for _, objects := range []int64{0, 1} {
		w, err := tr.NewPlan(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Discard()
		if err := w.Want(want); err != nil {
			t.Fatal(err)
		}
		if got := w.Info().Objects; got != objects {
			t.Errorf("%d objects to fetch, want %d", got, objects)
		}
		if err := os.Remove(filepath.Join(dir, "tree/pool/a.deb")); err != nil && objects == 0 {
			t.Fatal(err)
		}
	}
}

// TestPlanOfWhatCannotBeThere: what a plan could not bring, because something
// else lies there or no file can have that name, must not keep the plan for ever.
func TestPlanOfWhatCannotBeThere(t *testing.T) {
	tr := open(t, setup(t))
	long := "pool/" + strings.Repeat("w", 250)
	w, err := tr.NewPlan(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	bring(t, tr, "pool/file", "pool/dir/file", long)
	for _, p := range []string{"pool/file/below", "pool/dir", long} {
		if err := w.Fetch(tree.Item{Path: p, Size: 1, SHA256: hexOf("x"), Metadata: p == long}); err != nil {
			t.Fatal(err)
		}
	}
	digest, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.TendPlans(t.Context(), time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.OpenPlan(digest); !errors.Is(err, fault.Gone) {
		t.Errorf("the plan is still there: %v", err)
	}
	wantThere(t, tr, map[string]bool{"pool/file": true, "pool/dir/file": true, long: false})
}

// TestSomethingElseTookTheName of what was fetched, or dropped: that object is
// not there, and everything else goes on.
func TestSomethingElseTookTheName(t *testing.T) {
	dir := setup(t)
	tr := open(t, dir)
	p := plan(t, tr, "pool/a.deb")
	if err := errors.Join(commit(tr, story[0]), commit(tr, content{"dists/Release": "2"}), p.Done(0, []tree.Result{{Path: "pool/a.deb", Size: 3}})); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pool/a.deb", "pool/b"} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, "tree", name)), os.Symlink("elsewhere", filepath.Join(dir, "tree", name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Redo(); err != nil || p.IsDone(0) {
		t.Errorf("done %v, %v; want it fetched again", p.IsDone(0), err)
	}
	if _, err := tr.Reap(t.Context(), func(int64) bool { return true }); err != nil {
		t.Error(err)
	}
	if drops, err := tr.Drops(); len(drops) > 0 || err != nil {
		t.Errorf("drops %v are left, %v", drops, err)
	}
}

// TestPlanWhereResultsWereLeft: an attempt that still wrote results of a plan
// after it was removed leaves its directory, in which no plan is.
func TestPlanWhereResultsWereLeft(t *testing.T) {
	tr := open(t, setup(t))
	late := plan(t, tr, "pool/a.deb")
	if err := errors.Join(tr.ForgetPlan(late.Digest), late.Done(0, nil)); err != nil {
		t.Fatal(err)
	}
	again := plan(t, tr, "pool/a.deb") // opens it
	if again.Digest != late.Digest || again.IsDone(0) {
		t.Errorf("plan %s, done %v", again.Digest, again.IsDone(0))
	}
}
