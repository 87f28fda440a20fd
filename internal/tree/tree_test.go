package tree_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// content is a generation as a test writes it: paths to bytes. Paths below
// "dists/" are indexes, "dists/Release" the pointer.
type content map[string]string

// story is a life of a tree: an object is dropped, dropped again after it was
// re-added, an index replaced, another removed.
var story = []content{
	{"pool/a.deb": "aaa", "pool/b/b.deb": "bbb", "dists/Packages": "a b", "dists/Old": "old", "dists/Release": "1"},
	{"pool/b/b.deb": "bbb", "pool/c.deb": "cc", "dists/Packages": "b c", "dists/Release": "2"},
	{"pool/a.deb": "aaa", "pool/c.deb": "cc", "dists/Packages": "a c", "dists/Release": "3"},
	{"pool/d.deb": "d", "dists/Packages": "d", "dists/Release": "4"},
}

// parts of every tree; those of a tree in one piece are none.
var parts []string

// inPartsToo runs a test with a tree in one piece, and with one in parts.
func inPartsToo(t *testing.T, f func(t *testing.T)) {
	t.Run("in one piece", f)
	parts = []string{"pool"}
	defer func() { parts = nil }()
	t.Run("in parts", f)
}

func config(dir string, crash func(string)) tree.Config {
	return tree.Config{Parts: parts, Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state"), Holder: "test", Crash: crash,
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
}

func kindOf(p string) manifest.Kind {
	switch {
	case p == "dists/Release":
		return manifest.Pointer
	case strings.HasPrefix(p, "dists/"):
		return manifest.Index1
	}
	return manifest.Object
}

// live runs the story from wherever the tree stands, as a mirror does.
func live(cfg tree.Config) error {
	t, err := tree.Open(cfg)
	if err != nil {
		return err
	}
	defer t.Close()
	ctx := context.Background()
	for i, c := range story {
		g, err := t.Committed()
		if err != nil {
			return err
		}
		number := int64(i + 1)
		if g != nil && g.Number > number {
			continue
		}
		if g == nil || g.Number < number {
			if err := commit(t, c); err != nil {
				return err
			}
		}
		if err := t.Seal(number); err != nil {
			return err
		}
		// Generation n's drops go when generation n+1 is there.
		if _, err := t.Reap(ctx, func(gen int64) bool { return gen <= int64(i) }); err != nil {
			return err
		}
		if _, err := t.Expire(ctx, func(g *tree.Generation) bool { return g.Number >= int64(i) }); err != nil {
			return err
		}
	}
	return nil
}

func commit(t *tree.Tree, c content) error {
	var entries []manifest.Entry
	for _, p := range slices.Sorted(maps.Keys(c)) {
		e := manifest.Entry{Path: p, Kind: kindOf(p), Size: int64(len(c[p])), Digest: sha256.Sum256([]byte(c[p]))}
		entries = append(entries, e)
		if err := put(t, e, c[p]); err != nil {
			return err
		}
	}
	m, err := manifest.Write(t, func(yield func(manifest.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	_, err = t.Commit(context.Background(), tree.CommitRequest{Manifest: m})
	return err
}

func put(t *tree.Tree, e manifest.Entry, data string) error {
	if e.Kind.IsIndex() {
		_, err := t.PutIndex([]byte(data))
		return err
	}
	if _, there, err := t.Stat(e.Path); there || err != nil {
		return err
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

func setup(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range parts {
		if err := os.MkdirAll(filepath.Join(dir, "tree", part), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tree.Setup(config(dir, nil), "demo"); err != nil {
		t.Fatal(err)
	}
	return dir
}

var perRun = regexp.MustCompile(`^(tree/\.mirror/(stage|trash)|state/(lease|tmp)\.)`)

// snapshot is everything that outlives a run, with the tree's random ID masked.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	id, err := tree.Read(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer id.Close()
	out := map[string]string{}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || d.IsDir() || perRun.MatchString(rel) {
			return err
		}
		data, err := os.ReadFile(p)
		out[rel] = strings.ReplaceAll(string(data), id.ID().Tree, "ID")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tree/.mirror/id", "tree/pool/.mirror/id", "state/id"} {
		delete(out, name)
	}
	return out
}

func undisturbed(t *testing.T) (want map[string]string, points []string) {
	t.Helper()
	dir := setup(t)
	if err := live(config(dir, func(p string) { points = append(points, p) })); err != nil {
		t.Fatal(err)
	}
	want = snapshot(t, dir)
	if _, there := want["tree/pool/d.deb"]; !there {
		t.Fatalf("the story did not run: %v", slices.Sorted(maps.Keys(want)))
	}
	if _, there := want["tree/pool/b/b.deb"]; there {
		t.Fatal("pool/b/b.deb was dropped and reaped, and is still there")
	}
	if _, there := want["tree/pool/a.deb"]; !there {
		t.Fatal("pool/a.deb was dropped anew by the last generation and must still be there")
	}
	return want, points
}

type stop struct{}

// TestCrashAtEveryBoundary stops a run at each write boundary in turn; the next
// run must end with the very tree and state of an undisturbed one.
func TestCrashAtEveryBoundary(t *testing.T) { inPartsToo(t, crashAtEveryBoundary) }

func crashAtEveryBoundary(t *testing.T) {
	want, points := undisturbed(t)
	if len(points) < 60 {
		t.Fatalf("only %d write boundaries: %v", len(points), points)
	}
	for i, point := range points {
		dir := setup(t)
		n := 0
		func() {
			defer func() {
				if r := recover(); r != (stop{}) {
					t.Fatalf("%d %s: ended by %v, not by the crash", i, point, r)
				}
			}()
			live(config(dir, func(string) {
				if n++; n == i+1 {
					panic(stop{})
				}
			}))
		}()
		if err := live(config(dir, nil)); err != nil {
			t.Fatalf("%d %s: the next run: %v", i, point, err)
		}
		if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
			t.Fatalf("%d %s: %s", i, point, diff)
		}
	}
}

// TestZombieAtEveryBoundary lets a run sleep at each write boundary while
// another takes over and finishes; waking up, it must change nothing and say fenced.
func TestZombieAtEveryBoundary(t *testing.T) { inPartsToo(t, zombieAtEveryBoundary) }

func zombieAtEveryBoundary(t *testing.T) {
	want, points := undisturbed(t)
	for i, point := range points {
		dir := setup(t)
		asleep, wake, ended := make(chan struct{}), make(chan struct{}), make(chan error)
		n := 0
		go func() {
			ended <- live(config(dir, func(string) {
				if n++; n == i+1 {
					close(asleep)
					<-wake
				}
			}))
		}()
		<-asleep
		if err := live(config(dir, nil)); err != nil {
			t.Fatalf("%d %s: take-over: %v", i, point, err)
		}
		close(wake)
		if err := <-ended; !errors.Is(err, fault.Fenced) {
			t.Fatalf("%d %s: the zombie ended with %v, want fenced", i, point, err)
		}
		if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
			t.Fatalf("%d %s: the zombie changed the tree: %s", i, point, diff)
		}
	}
}

func TestWrongStorage(t *testing.T) {
	other := setup(t)
	cases := map[string]func(dir string) error{
		"tree not mounted":      func(dir string) error { return os.RemoveAll(filepath.Join(dir, "tree")) },
		"state not mounted":     func(dir string) error { return os.RemoveAll(filepath.Join(dir, "state")) },
		"empty tree mounted":    func(dir string) error { return os.Remove(filepath.Join(dir, "tree/.mirror/id")) },
		"state of another tree": func(dir string) error { return copyOver(other, dir, "state/id") },
		"generation of another": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tree/.mirror/generation.json"), []byte(`{"tree":"x","number":3}`), 0o644)
		},
		"manifest not the state": func(dir string) error { return swapManifest(dir) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := setup(t)
			if err := live(config(dir, nil)); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			err := live(config(dir, nil))
			if !errors.Is(err, fault.WrongStorage) {
				t.Errorf("got %v, want wrong-storage", err)
			}
			if _, err := tree.Setup(config(dir, nil), "other"); !errors.Is(err, fault.WrongStorage) {
				t.Errorf("setup for another mirror: got %v, want wrong-storage", err)
			}
		})
	}
}

func copyOver(from, to, name string) error {
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, name), data, 0o644)
}

func swapManifest(dir string) error {
	name := filepath.Join(dir, "tree/.mirror/generation.json")
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	s, err := tree.ParseServed(data, name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Replace(string(data), s.Manifest, strings.Repeat("0", 64), 1)), 0o644)
}

func TestSetupTwiceIsOnce(t *testing.T) {
	dir := setup(t)
	a, err := tree.Setup(config(dir, nil), "demo")
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.Setup(config(dir, nil), "demo")
	if err != nil || a != b {
		t.Errorf("%v, %v, %v", a, b, err)
	}
}

func TestHostilePaths(t *testing.T) {
	dir := setup(t)
	tr, err := tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("../outside", filepath.Join(dir, "tree/out")), os.Mkdir(filepath.Join(dir, "tree/real"), 0o755),
		os.Symlink("real", filepath.Join(dir, "tree/in"))); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/", "a\x00b", "a\nb", ".mirror/id", ".mirror",
		"\xff", strings.Repeat("x", 256), "out/x", "in/x"} {
		f, err := tr.Create()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Land(p); err == nil {
			t.Errorf("landed at %q", p)
		}
	}
	for _, d := range []string{outside, filepath.Join(dir, "tree/real")} {
		if left, _ := os.ReadDir(d); len(left) != 0 {
			t.Errorf("%s holds %v", d, left)
		}
	}
	if stage, _ := filepath.Glob(filepath.Join(dir, "tree/.mirror/stage/*/*/*")); len(stage) != 0 {
		t.Errorf("refused files stay in the stage: %v", stage)
	}
}

func TestPurgeRemovesWhatWasNeverCommitted(t *testing.T) {
	dir := setup(t)
	if err := live(config(dir, nil)); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Open(config(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	base, err := tr.Committed()
	if err != nil {
		t.Fatal(err)
	}
	w, err := tr.NewPlan(base)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	for _, p := range []string{"pool/orphan.deb", "pool/d.deb", "pool/a.deb"} {
		if err := w.Fetch(tree.Item{Path: p, Size: 1, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	digest, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := put(tr, manifest.Entry{Path: "pool/orphan.deb", Kind: manifest.Object}, "x"); err != nil {
		t.Fatal(err)
	}
	if err := tr.PurgePlans(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if _, there, _ := tr.Stat("pool/orphan.deb"); !there {
		t.Error("an object of the kept plan was removed")
	}
	if err := tr.PurgePlans(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{"pool/orphan.deb": false, "pool/d.deb": true, "pool/a.deb": true} {
		if _, there, err := tr.Stat(p); there != want || err != nil {
			t.Errorf("%s: there %v (%v), want %v", p, there, err, want)
		}
	}
}

// TestRenewFencesOwnAttempts lets two attempts of one run meet, as after a lost heartbeat.
func TestRenewFencesOwnAttempts(t *testing.T) {
	dir := setup(t)
	mine := config(dir, nil)
	mine.Run = "run-1"
	first, err := tree.Open(mine)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for range 2 { // the second renewal still starts from the epoch that the run knows
		again, err := tree.Renew(mine, first.Epoch())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
	}
	if _, err := first.Create(); !errors.Is(err, fault.Fenced) {
		t.Errorf("the first attempt can still write: %v", err)
	}
	other := config(dir, nil)
	other.Run = "run-2"
	if _, err := tree.Renew(other, first.Epoch()); !errors.Is(err, fault.Fenced) {
		t.Errorf("another run renewed a lease that it does not hold: %v", err)
	}
	if _, err := tree.Open(other); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Renew(mine, first.Epoch()); !errors.Is(err, fault.Fenced) {
		t.Errorf("the run renewed a lease that another has taken: %v", err)
	}
}

func FuzzParseServed(f *testing.F) {
	f.Add([]byte(`{"tree":"x-1","number":3,"manifest":"00"}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := tree.ParseServed(data, "fuzz")
		if err == nil && (s.Tree == "" || s.Number <= 0) {
			t.Errorf("%q: accepted as %+v", data, s)
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"pool/a.deb", "../x", "/x", "a//b", ".mirror/x", "a\x00"} {
		f.Add(p)
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, p string) {
		if tree.CheckPath(p) != nil {
			return
		}
		rel, err := filepath.Rel(root, filepath.Join(root, p))
		if err != nil || rel != p || rel == ".." || strings.HasPrefix(rel, "../") || strings.HasPrefix(rel, ".mirror/") {
			t.Errorf("%q was accepted and leads to %q", p, rel)
		}
	})
}

// TestQuietRunLeavesTheTreeAlone: on AFS everything written to the tree makes
// the read-write volume differ from what is served.
func TestQuietRunLeavesTheTreeAlone(t *testing.T) {
	cfg := config(setup(t), nil)
	first, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(commit(first, story[0]), first.Close()); err != nil {
		t.Fatal(err)
	}
	before := listing(t, cfg.Dir)
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Tend(t.Context(), time.Now(), time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, listing(t, cfg.Dir)); diff != "" {
		t.Errorf("an open tree was written to:\n%s", diff)
	}
	f, err := tr.Create()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stage", "trash"} {
		if _, err := os.Lstat(filepath.Join(cfg.Dir, ".mirror", name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// listing maps every name below dir to when it was changed.
func listing(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	out := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out[name] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestParts: what a rename cannot reach is staged in the part itself, and a
// part's generation.json names the newest generation that changed it.
func TestParts(t *testing.T) {
	parts = []string{"pool"}
	defer func() { parts = nil }()
	cfg := config(setup(t), nil)
	served := func(dir string) int64 {
		s, err := tree.ReadServed(filepath.Join(cfg.Dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		return s.Number
	}
	for i, c := range []content{
		{"pool/a.deb": "a", "dists/Release": "1"}, {"pool/a.deb": "a", "dists/Release": "2"}, {"pool/b.deb": "b", "dists/Release": "3"},
	} {
		tr, err := tree.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(commit(tr, c), tr.Close()); err != nil {
			t.Fatal(err)
		}
		if whole, part := served(""), served("pool"); whole != int64(i+1) || part != []int64{1, 1, 3}[i] {
			t.Errorf("generation %d: the tree says %d, the part %d", i+1, whole, part)
		}
	}
	for _, dir := range []string{"", "pool"} {
		if left, _ := filepath.Glob(filepath.Join(cfg.Dir, dir, ".mirror/*a*e")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if err := tree.CheckPath("pool/.mirror/generation.json"); !errors.Is(err, fault.Hostile) {
		t.Errorf("upstream may name a part's generation.json: %v", err)
	}
}

// TestMissingDirectoryIsAnError: where a part's stage cannot be made, that is
// said, and whoever says it does not wait for itself.
func TestMissingDirectoryIsAnError(t *testing.T) {
	cfg := config(t.TempDir(), nil)
	cfg.Parts = []string{"pool"}
	pool := filepath.Join(cfg.Dir, "pool")
	if err := os.MkdirAll(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Setup(cfg, "m"); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	// A file system in which nothing can be made, and which says so with ENOENT.
	if err := errors.Join(os.RemoveAll(pool), os.Symlink("/proc/self", pool)); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.CreateFor("pool/a"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fault.Fenced) {
		t.Errorf("got %v", err)
	}
}

// TestPartNotMounted: without its part, or with another's, a tree is not the right storage.
func TestPartNotMounted(t *testing.T) {
	cfg := config(t.TempDir(), nil)
	cfg.Parts = []string{"pool", "old/pool"}
	if _, err := tree.Setup(cfg, "m"); !errors.Is(err, fault.WrongStorage) || !strings.Contains(err.Error(), "a part of the tree is not there") {
		t.Fatalf("setup without the parts: %v", err)
	}
	pool, old := filepath.Join(cfg.Dir, "pool"), filepath.Join(cfg.Dir, "old/pool")
	if err := errors.Join(os.MkdirAll(pool, 0o755), os.MkdirAll(old, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "a.deb"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Setup(cfg, "m"); !errors.Is(err, fault.WrongStorage) || !strings.Contains(err.Error(), "has files and no identity") {
		t.Fatalf("setup with somebody's files: %v", err)
	}
	if err := os.Remove(filepath.Join(old, "a.deb")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := tree.Setup(cfg, "m"); err != nil {
			t.Fatal(err)
		}
	}
	away := filepath.Join(t.TempDir(), "pool")
	refused := func(what, why string) {
		t.Helper()
		if _, err := tree.Open(cfg); !errors.Is(err, fault.WrongStorage) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := tree.Setup(cfg, "m"); !errors.Is(err, fault.WrongStorage) {
			t.Errorf("setup with %s: %v", what, err)
		}
	}
	if err := os.Rename(pool, away); err != nil {
		t.Fatal(err)
	}
	refused("nothing there", "no such file")
	if err := os.Rename(old, pool); err != nil {
		t.Fatal(err)
	}
	refused("another part", `part "old/pool"`)
	if err := errors.Join(os.Rename(pool, old), os.Rename(away, pool)); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(commit(tr, content{"pool/a.deb": "a"}), tr.Close(), os.Rename(pool, away), os.Mkdir(pool, 0o755)); err != nil {
		t.Fatal(err)
	}
	refused("an empty directory in its place", "id: no such file")
}

// TestTrashOverflows: AFS has room for so many names in a directory, and no more.
func TestTrashOverflows(t *testing.T) {
	defer func(n int) { *tree.FullPassage = n }(*tree.FullPassage)
	*tree.FullPassage = 3
	dir, most := setup(t), 0
	cfg := config(dir, func(point string) {
		all, _ := filepath.Glob(filepath.Join(dir, "tree/.mirror/trash/*/*"))
		for _, d := range all {
			entries, _ := os.ReadDir(d)
			most = max(most, len(entries))
		}
	})
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	full := content{"dists/Release": "1"}
	for i := range 20 {
		full[fmt.Sprintf("pool/%02d.deb", i)] = "x"
	}
	if err := errors.Join(commit(tr, full), commit(tr, content{"dists/Release": "2"})); err != nil {
		t.Fatal(err)
	}
	reaped, _, err := tr.Tend(t.Context(), time.Now(), time.Hour, func(int64) bool { return true })
	if err != nil || reaped.Objects != 20 {
		t.Errorf("reaped %+v, %v", reaped, err)
	}
	if most != 3 {
		t.Errorf("%d names in one directory of the trash, want 3 at most and at some time", most)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tree/.mirror/trash")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
