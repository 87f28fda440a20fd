package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// place is a storage with one mirror and one directory region.
type place struct {
	dir, file string
	spec      *mirrorspec.Spec
	cfg       tree.Config
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{dir: t.TempDir()}
	p.setUp(t, "", "")
	return p
}

// setUp writes the spec, with more lines for storage and region, and sets it up.
func (p *place) setUp(t *testing.T, storage, region string) {
	t.Helper()
	p.file = filepath.Join(p.dir, "mirrors.toml")
	text := fmt.Sprintf(`[cycle]
name = "test"
[storage]
name = "main"
root = %q
state = %q
%s
[[region]]
name = "dfw"
dir = %q
url = "http://mirror.dfw.example.org"
%s
[[mirror]]
name = %q
kind = "apt"
upstream = ["http://archive.example.org/debian"]
suites = ["noble"]
components = ["main"]
architectures = ["amd64"]
keyring = "/usr/share/keyrings/example.gpg"
`, p.path("trees"), p.path("state"), storage, p.path("dfw"), region, backendtest.Mirror)
	if err := os.WriteFile(p.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.spec, err = mirrorspec.Load(p.file); err != nil {
		t.Fatal(err)
	}
	p.cfg = tree.Config{Dir: p.spec.TreeDir(backendtest.Mirror), State: p.spec.StateDir(backendtest.Mirror), Holder: "test"}
	p.starter(t, exitDone, "setup", "--offline", p.file)
}

func (p *place) path(elem ...string) string {
	return filepath.Join(append([]string{p.dir}, elem...)...)
}

func (p *place) starter(t *testing.T, want int, args ...string) {
	t.Helper()
	if got := run(args); got != want {
		t.Fatalf("starter %s: exit status %d, want %d", strings.Join(args, " "), got, want)
	}
}

func (p *place) rebuild(t *testing.T, want int, flags ...string) {
	t.Helper()
	p.starter(t, want, append([]string{"region", "rebuild", "dfw", "--spec", p.file}, flags...)...)
}

func (p *place) commit(t *testing.T, n int64, packages ...string) {
	t.Helper()
	c := backendtest.Content{"dists/Release": fmt.Sprint("release ", n)}
	for _, name := range packages {
		c["pool/"+name] = "content of " + name
	}
	if err := backendtest.Commit(p.cfg, c, n); err != nil {
		t.Fatal(err)
	}
}

// seal does what the verification of the next cycle does, and returns the tree's newest number.
func (p *place) seal(t *testing.T) int64 {
	t.Helper()
	tr, err := tree.Open(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	g, err := tr.Committed()
	if err == nil {
		err = tr.Seal(g.Number)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g.Number
}

// release publishes what is sealed, and returns what the region serves then.
func (p *place) release(t *testing.T) (int64, error) {
	t.Helper()
	src, done, err := release.From(release.Origin{Region: p.spec.Regions[0], Storage: p.spec.Storage, Mirror: backendtest.Mirror})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	out, err := dir.New(dir.Options{Dir: p.path("dfw"), Region: "dfw", Mirror: backendtest.Mirror, Tree: p.id(t), Holder: "test"}).Publish(context.Background(), src)
	return out[0].Serves, err
}

func (p *place) released(t *testing.T, want int64) {
	t.Helper()
	if got, err := p.release(t); err != nil || got != want {
		t.Fatalf("the region serves generation %d (%v), want %d", got, err, want)
	}
}

func (p *place) id(t *testing.T) string {
	t.Helper()
	tr, err := tree.Read(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	return tr.ID().Tree
}

// serves wants packages to be readable in the region, and others not.
func (p *place) serves(t *testing.T, packages ...string) {
	t.Helper()
	for _, name := range packages {
		name, absent := strings.CutPrefix(name, "!")
		_, err := os.Stat(p.path("dfw", backendtest.Mirror, "pool", name))
		if (err == nil) == absent {
			t.Errorf("package %s in the region: %v", name, err)
		}
	}
}

func (p *place) copy(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", p.path(from), p.path(to)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// restore brings the tree and its state back as they were when they were saved.
func (p *place) restore(t *testing.T) {
	t.Helper()
	for _, d := range []string{"trees", "state"} {
		if err := os.RemoveAll(p.path(d)); err != nil {
			t.Fatal(err)
		}
		p.copy(t, d+".saved", d)
	}
}

// TestRebuildAfterOldTree: the tree comes back from a backup, older than what
// the region serves. Its numbers rise above that, and nothing that the region's
// clients may ask for goes away.
func TestRebuildAfterOldTree(t *testing.T) {
	p := newPlace(t)
	p.commit(t, 1, "a", "b")
	p.released(t, 1)
	p.copy(t, "trees", "trees.saved")
	p.copy(t, "state", "state.saved")
	p.commit(t, 2, "a", "c")
	p.released(t, 2)
	p.commit(t, 3, "a", "c", "d")
	p.released(t, 3)
	p.restore(t)
	if _, err := p.release(t); !errors.Is(err, fault.Stale) {
		t.Fatalf("a release of the old tree: %v", err)
	}
	p.rebuild(t, exitUsage)
	if n := p.seal(t); n != 1 {
		t.Fatalf("without --yes the tree went to generation %d", n)
	}
	p.rebuild(t, exitDone, "--yes")
	if n := p.seal(t); n != 4 {
		t.Fatalf("the tree is at generation %d, want 4: above all that the region served", n)
	}
	if top, _, err := release.Newest(p.id(t), backendtest.Mirror, p.spec.Regions); err != nil || top > 4 {
		t.Fatal(top, err)
	}
	p.serves(t, "a", "b", "c", "d") // b was dropped by 2, and its wait is not over
	p.released(t, 4)
	p.serves(t, "a", "b", "c", "d") // c and d are dropped by 4, and wait as well
	if _, err := os.Stat(p.path("dfw", ".mirrorcycle", "aside")); err == nil {
		t.Error("something was moved aside")
	}
}

// TestRebuildOfARegionThatPulls: on the region's host nothing happens until the
// storage's host was told above what its numbers have to rise.
func TestRebuildOfARegionThatPulls(t *testing.T) {
	p := &place{dir: t.TempDir()}
	origin := httptest.NewServer(release.OriginHandler(p.path("trees"), p.path("state")))
	defer origin.Close()
	p.setUp(t, fmt.Sprintf("url = %q", origin.URL), "pull = true")
	p.commit(t, 1, "a", "b")
	p.released(t, 1)
	p.copy(t, "trees", "trees.saved")
	p.copy(t, "state", "state.saved")
	p.commit(t, 2, "a", "c")
	p.released(t, 2)
	p.restore(t)
	p.rebuild(t, exitFailed, "--yes")
	p.serves(t, "a", "b", "c")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(p.path(from), p.path(to)); err != nil {
			t.Fatal(err)
		}
	}
	move("dfw", "elsewhere")
	p.rebuild(t, exitFailed, "--yes")
	p.rebuild(t, exitUsage, "--above", "2")
	p.rebuild(t, exitDone, "--above", "2", "--yes")
	if n := p.seal(t); n != 3 {
		t.Fatalf("the tree is at generation %d, want 3", n)
	}
	move("elsewhere", "dfw")
	p.released(t, 3)
	p.serves(t, "a", "b", "c")
	p.rebuild(t, exitDone, "--yes")
	p.serves(t, "a", "b", "c") // until there is something better
	p.released(t, 3)
	p.serves(t, "a", "b", "!c")
}

// TestRebuildOfARegionThatPullsFromANewTree: the tree was lost, and the new one
// has lower numbers, or none yet: the region's host moves aside what is of the old one.
func TestRebuildOfARegionThatPullsFromANewTree(t *testing.T) {
	for _, committed := range []bool{false, true} {
		p := &place{dir: t.TempDir()}
		origin := httptest.NewServer(release.OriginHandler(p.path("trees"), p.path("state")))
		defer origin.Close()
		p.setUp(t, fmt.Sprintf("url = %q", origin.URL), "pull = true")
		p.commit(t, 1, "a", "b")
		p.released(t, 1)
		p.commit(t, 2, "a", "b")
		p.released(t, 2)
		for _, d := range []string{"trees", "state"} {
			if err := os.RemoveAll(p.path(d)); err != nil {
				t.Fatal(err)
			}
		}
		p.starter(t, exitDone, "setup", "--offline", p.file)
		if committed {
			p.commit(t, 1, "a", "c")
		}
		p.rebuild(t, exitUsage)
		p.rebuild(t, exitDone, "--yes")
		p.serves(t, "a", "b")
		if !committed {
			p.commit(t, 1, "a", "c")
		}
		p.released(t, 1)
		p.serves(t, "a", "!b", "c")
	}
}

// TestRebuildMovesAside: what cannot be followed by another release is moved
// aside, and the next release brings the whole, with a number that was not
// served. Until then clients get what is there.
func TestRebuildMovesAside(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(*testing.T, *place)
		flags []string
		want  int64
	}{
		"by wish":                 {func(*testing.T, *place) {}, nil, 2},
		"generation.json is gone": {func(t *testing.T, p *place) { remove(t, p.path("dfw", backendtest.Mirror, ".mirror/generation.json")) }, nil, 3},
		"the link is gone":        {func(t *testing.T, p *place) { remove(t, p.path("dfw", backendtest.Mirror)) }, nil, 3},
		"the identity is gone":    {func(t *testing.T, p *place) { remove(t, p.path("dfw", ".mirrorcycle/id")) }, nil, 2},
		"retired": {func(t *testing.T, p *place) {
			p.starter(t, exitDone, "region", "retire", "dfw", "--yes", "--spec", p.file)
		}, nil, 2},
		"ahead, by wish": {func(t *testing.T, p *place) { p.restore(t) }, []string{"--aside"}, 3},
		"ahead and damaged": {func(t *testing.T, p *place) {
			p.restore(t)
			remove(t, p.path("dfw", backendtest.Mirror, ".mirror/generation.json"))
		}, nil, 3},
		"a directory at its place": {func(t *testing.T, p *place) {
			remove(t, p.path("dfw", backendtest.Mirror))
			if err := os.MkdirAll(p.path("dfw", backendtest.Mirror, "pool"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, nil, 3},
		"another tree's": {func(t *testing.T, p *place) {
			for _, d := range []string{"trees", "state"} {
				if err := os.RemoveAll(p.path(d)); err != nil {
					t.Fatal(err)
				}
			}
			p.starter(t, exitDone, "setup", "--offline", p.file)
			p.commit(t, 1, "a", "c")
		}, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.commit(t, 1, "a", "b")
			p.released(t, 1)
			p.copy(t, "trees", "trees.saved")
			p.copy(t, "state", "state.saved")
			p.commit(t, 2, "a", "c")
			p.released(t, 2)
			c.harm(t, p)
			p.rebuild(t, exitUsage, c.flags...)
			p.rebuild(t, exitDone, append(c.flags, "--yes")...)
			if p.seal(t) != c.want {
				t.Errorf("the tree is at generation %d, want %d", p.seal(t), c.want)
			}
			if strings.Contains(name, "the link is gone") || strings.Contains(name, "at its place") {
				p.serves(t, "!a") // as before
			} else {
				p.serves(t, "a", "b", "c")
			}
			if name == "by wish" {
				p.rebuild(t, exitDone) // a repetition has nothing to do
				p.serves(t, "a", "b", "c")
			}
			p.released(t, c.want)
			p.serves(t, "a")
			kept, err := filepath.Glob(p.path("dfw", ".mirrorcycle", "aside", "*", "records", "views", "*", "pool", "a"))
			if err != nil || len(kept) == 0 {
				t.Errorf("the old content was not kept: %v %v", kept, err)
			}
		})
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestRebuildNeedsTheRightRegion: not the directory of another region, nor one that is not mounted.
func TestRebuildNeedsTheRightRegion(t *testing.T) {
	p := newPlace(t)
	p.commit(t, 1, "a")
	p.released(t, 1)
	id := p.path("dfw", ".mirrorcycle", "id")
	if err := os.WriteFile(id, []byte(`{"region":"iad"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	p.rebuild(t, exitFailed, "--yes")
	p.starter(t, exitFailed, "region", "retire", "dfw", "--yes", "--spec", p.file)
	p.serves(t, "a")
	if err := os.Rename(p.path("dfw"), p.path("off")); err != nil {
		t.Fatal(err)
	}
	p.rebuild(t, exitFailed, "--yes")
	p.starter(t, exitFailed, "region", "retire", "dfw", "--yes", "--spec", p.file)
	p.starter(t, exitUsage, "region", "retire", "iad", "--yes", "--spec", p.file)
}

// TestRetire: nothing is released to a retired region or deleted from it, and
// what it had stays readable; setup brings it back.
func TestRetire(t *testing.T) {
	p := newPlace(t)
	p.commit(t, 1, "a", "b")
	p.released(t, 1)
	p.starter(t, exitUsage, "region", "retire", "dfw", "--spec", p.file)
	for range 2 {
		p.starter(t, exitDone, "region", "retire", "dfw", "--yes", "--spec", p.file)
	}
	p.commit(t, 2, "a")
	if _, err := p.release(t); !errors.Is(err, fault.WrongStorage) {
		t.Errorf("a release to a retired region: %v", err)
	}
	p.serves(t, "a", "b")
	log, err := os.ReadFile(p.path("dfw", ".mirrorcycle", backendtest.Mirror, "log"))
	if err != nil || strings.Count(string(log), "retired 1") != 1 {
		t.Errorf("ledger: %v\n%s", err, log)
	}
	p.starter(t, exitDone, "setup", "--offline", p.file)
	p.released(t, 2)
	p.serves(t, "a", "b")
}
