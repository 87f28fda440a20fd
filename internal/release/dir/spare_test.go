package dir_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/release/dir"
)

// wideRegion releases generations of a directory of 30 projects to a region for
// which that is wide, one each hour; a generation can be read for 90 minutes.
type wideRegion struct {
	t       *testing.T
	dir     string
	now     time.Time
	src     *origin
	files   map[manifest.Digest]string
	content backendtest.Content
}

func newWide(t *testing.T) *wideRegion {
	region, _ := setup(t)
	w := &wideRegion{t: t, dir: region, now: begin, files: map[manifest.Digest]string{}, content: backendtest.Content{}}
	w.src = &origin{bytes: func(e manifest.Entry) []byte { return []byte(w.files[e.Digest]) }}
	for i := range 30 {
		w.content[fmt.Sprintf("simple/project%02d/page", i)] = "old"
	}
	return w
}

func (w *wideRegion) open() *dir.Region {
	return dir.New(dir.Options{Dir: w.dir, Region: "dfw", Mirror: "demo", Tree: treeID, Now: func() time.Time { return w.now }, Wide: 10,
		Policy: backend.Policy{Grace: time.Hour, Keep: 90 * time.Minute, Every: time.Hour}})
}

// release changes files (an empty one goes), publishes, and reaps.
func (w *wideRegion) release(change backendtest.Content) {
	w.t.Helper()
	w.content = maps.Clone(w.content)
	maps.Copy(w.content, change)
	maps.DeleteFunc(w.content, func(_, data string) bool { return data == "" })
	w.src.next(w.t, entries(w.src.keep(w.files, w.content)...))
	r := w.open()
	if _, err := r.Publish(w.t.Context(), &serial{origin: w.src}); err != nil {
		w.t.Fatal(err)
	}
	if err := r.Confirm(w.t.Context(), "dfw", w.src.gen.Number); err != nil {
		w.t.Fatal(err)
	}
	if _, err := r.Reap(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
}

func (w *wideRegion) look() {
	w.t.Helper()
	got, err := backendtest.Files(filepath.Join(w.dir, "demo"))
	if diff := cmp.Diff(w.content, got); diff != "" || err != nil {
		w.t.Errorf("generation %d (-want +got): %v\n%s", w.src.gen.Number, err, diff)
	}
}

func (w *wideRegion) inode(p string) fs.FileInfo {
	w.t.Helper()
	st, err := os.Stat(filepath.Join(w.dir, p))
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// TestSpareIsUsedAgain has the directory that an expired view had be the one of
// the next view, which shows what it should whatever became of the spare.
func TestSpareIsUsedAgain(t *testing.T) {
	const kept = ".mirrorcycle/demo/spare/simple"
	cases := map[string]func(w *wideRegion) error{
		"as it was":     func(*wideRegion) error { return nil },
		"one name less": func(w *wideRegion) error { return os.Remove(filepath.Join(w.dir, kept, "project07")) },
		"one name more": func(w *wideRegion) error { return os.Symlink("nowhere", filepath.Join(w.dir, kept, "other")) },
		"another target": func(w *wideRegion) error {
			name := filepath.Join(w.dir, kept, "project08")
			return os.Rename(name, filepath.Join(w.dir, kept, "project09"))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWide(t)
			w.release(nil)
			for i := range 5 {
				w.release(backendtest.Content{fmt.Sprintf("simple/project%02d/page", i): fmt.Sprint("new", i),
					"simple/project20/page": map[bool]string{true: "back"}[i%2 == 1], "simple/page": fmt.Sprint(i)})
				w.look()
			}
			st, err := os.Stat(filepath.Join(w.dir, kept))
			need.That(t, err == nil, "the file system of temporary files has other inodes in its lists")
			if err := spoil(w); err != nil {
				t.Fatal(err)
			}
			w.release(backendtest.Content{"simple/project05/page": "new5", "simple/project21/page": "", "simple/added/page": "a"})
			w.look()
			if !os.SameFile(st, w.inode("demo/simple")) {
				t.Error("the view has another directory than the spare")
			}
		})
	}
}

// TestWideDirectoriesHoldLinksOnly has a spare be moved without what newer views lead to.
func TestWideDirectoriesHoldLinksOnly(t *testing.T) {
	w := newWide(t)
	for i := range 6 {
		w.release(backendtest.Content{"simple/project03/page": fmt.Sprint(i)})
		entries, err := os.ReadDir(filepath.Join(w.dir, "demo/simple"))
		if err != nil || len(entries) != 30 || slices.ContainsFunc(entries, fs.DirEntry.IsDir) {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
	}
}

// TestSpareGoesWithItsDirectory leaves no spare of a directory that no view has.
func TestSpareGoesWithItsDirectory(t *testing.T) {
	w := newWide(t)
	for i := range 5 {
		w.release(backendtest.Content{"simple/project03/page": fmt.Sprint(i)})
	}
	gone := backendtest.Content{"other": "x"}
	for p := range w.content {
		gone[p] = ""
	}
	gone["other"] = "x"
	for range 5 {
		w.release(gone)
	}
	w.look()
	left, err := os.ReadDir(filepath.Join(w.dir, ".mirrorcycle/demo/spare"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d spares are left, %v", len(left), err)
	}
}
