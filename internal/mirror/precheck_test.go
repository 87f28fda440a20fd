package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// TestWhatIsThereNeedsNoRoom goes on with a plan of which the largest part was
// brought by a run that was cut off: the disk has no room for all of it again.
func TestWhatIsThereNeedsNoRoom(t *testing.T) {
	dir := t.TempDir()
	cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
	if _, err := tree.Setup(cfg, "demo"); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	free, err := tr.Free()
	if err != nil {
		t.Fatal(err)
	}
	room := roomOf(Target{Storage: mirrorspec.Storage{MinFree: mirrorspec.Size(2 * free)}})
	if left, err := room(tr); err != nil || left >= 0 {
		t.Errorf("indexes may take %d bytes of what is to stay free: %v", left, err)
	}
	p := bigPlan(t, tr, free)
	m := &Mirror{t: tr, Target: Target{Storage: mirrorspec.Storage{MinFree: mirrorspec.Size(free / 4)}}}
	if err := m.precheck(t.Context(), p, 0, 1); !errors.Is(err, fault.NoSpace) {
		t.Fatalf("a plan as large as the disk's free space is begun: %v", err)
	}
	there, err := os.Create(filepath.Join(cfg.Dir, "big"))
	if err == nil {
		err = errors.Join(there.Truncate(free), there.Close()) // it has no blocks
	}
	need.That(t, err == nil, fmt.Sprint("no large sparse files: ", err))
	if err := m.precheck(t.Context(), p, 0, 1); err != nil {
		t.Error(err)
	}
	m.Storage.MinFree = mirrorspec.Size(2 * free)
	if err := m.precheck(t.Context(), p, 0, 1); !errors.Is(err, fault.NoSpace) {
		t.Errorf("what is to stay free is not kept free: %v", err)
	}
}

// TestMinFreeIsWatchedWhileWriting: what storage.min-free says counts for what a
// mirror writes, with no plan that tells of it.
func TestMinFreeIsWatchedWhileWriting(t *testing.T) {
	dir := t.TempDir()
	target := Target{Storage: mirrorspec.Storage{Root: dir, State: filepath.Join(dir, "state"), MinFree: 1 << 60}, Mirror: mirrorspec.Mirror{Name: "demo"}}
	if _, err := tree.Setup(target.Tree(), "demo"); err != nil {
		t.Fatal(err)
	}
	m := new(Host).Of(target, Run{})
	if _, err := m.Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.t.PutIndex([]byte("grown")); !errors.Is(err, fault.NoSpace) {
		t.Errorf("an index is written to the room that is to stay free: %v", err)
	}
}

func bigPlan(t *testing.T, tr *tree.Tree, size int64) *tree.Plan {
	t.Helper()
	w, err := tr.NewPlan(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	if err := w.Fetch(tree.Item{Path: "big", Size: size, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
		t.Fatal(err)
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

func TestNotesThatCrossTemporalAreFew(t *testing.T) {
	for n, want := range map[int]int{0: 0, maxNotes: maxNotes, 10 * maxNotes: maxNotes} {
		if got := len(few(make([]tree.Note, n))); got != want {
			t.Errorf("%d of %d notes, want %d", got, n, want)
		}
	}
}

func TestCronHasAPeriod(t *testing.T) {
	if (Target{}).Period() <= 0 {
		t.Error("without a period nothing in a region is ever due")
	}
}

// TestNotesAreShort: a note is as long as the answer of a server, at worst.
func TestNotesAreShort(t *testing.T) {
	long := Told([]tree.Note{{Unit: "u", Error: strings.Repeat("ü", 10000)}, {Unit: "v", Error: "short"}})
	if n := len(long[0].Error); n > 1000 || !strings.HasSuffix(long[0].Error, "ü …") || long[1].Error != "short" {
		t.Errorf("%d bytes; %q", n, long[1].Error)
	}
}
