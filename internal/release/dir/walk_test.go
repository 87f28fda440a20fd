package dir_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// names are few, so that files become directories, and the other way round.
var names = []string{"a", "a/b", "a/b/c", "a/b/d", "a/e/f", "g/h/i", "g/h/j", "g/k", "l/m/n/o", "l/m/n/p", "q"}

// TestRandomGenerations publishes generations without any pattern. Each shows
// what it names; readable ones stay as they were; and when the last one has
// been served for long enough, the region holds that and not a file more.
func TestRandomGenerations(t *testing.T) {
	for seed := range uint64(20) {
		walk(t, seed)
	}
}

func walk(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	region := filepath.Join(backendtest.Scratch(t), "dfw")
	if err := dir.Setup(region, "dfw"); err != nil {
		t.Fatal(err)
	}
	now := begin
	open := func() *dir.Region {
		return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: "demo", Tree: treeID, Now: func() time.Time { return now },
			Policy: backend.Policy{Grace: 2 * time.Hour, Keep: 5 * time.Hour, Every: time.Hour}, Wide: int(seed % 3)}) // names are few
	}
	content := map[manifest.Digest]string{}
	src := &origin{bytes: func(e manifest.Entry) []byte { return []byte(content[e.Digest]) }}
	one := &serial{origin: src}
	var story []backendtest.Content
	for n := range 15 {
		story = append(story, random(rng, src.content()))
		src.next(t, entries(src.keep(content, story[n])...))
		if _, err := open().Publish(t.Context(), one); err != nil {
			t.Fatalf("seed %d generation %d: %v", seed, n+1, err)
		}
		if rng.IntN(4) > 0 {
			if err := open().Confirm(t.Context(), "dfw", int64(n+1)); err != nil {
				t.Fatal(err)
			}
		}
		told, err := open().Reap(t.Context())
		if err != nil {
			t.Fatalf("seed %d generation %d: reap: %v", seed, n+1, err)
		}
		if rng.IntN(2) == 0 {
			recount(t, fmt.Sprintf("seed %d generation %d", seed, n+1), region, told, open)
		}
		now = now.Add(time.Duration(rng.IntN(180)) * time.Minute)
		promised(t, seed, region, story)
	}
	for range 10 {
		if err := open().Confirm(t.Context(), "dfw", int64(len(story))); err != nil {
			t.Fatal(err)
		}
		if _, err := open().Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	got, err := backendtest.Files(filepath.Join(region, "demo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(story[len(story)-1], got); diff != "" {
		t.Fatalf("seed %d: at last (-want +got):\n%s", seed, diff)
	}
	noMore(t, seed, region, len(src.lastSegments(t)))
}

// recount has what waits counted anew: it is what was told.
func recount(t *testing.T, what, region string, told backend.Reaped, open func() *dir.Region) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(region, ".mirrorcycle/demo/waiting")); err != nil {
		t.Fatal(err)
	}
	again, err := open().Reap(t.Context())
	if err != nil {
		t.Fatalf("%s: reap again: %v", what, err)
	}
	if told.Waiting != again.Waiting || told.WaitingBytes != again.WaitingBytes {
		t.Errorf("%s: %d objects of %d bytes were said to wait, counted anew %d of %d", what, told.Waiting, told.WaitingBytes, again.Waiting, again.WaitingBytes)
	}
}

// random makes a generation out of the one before.
func random(rng *rand.Rand, last backendtest.Content) backendtest.Content {
	next := backendtest.Content{}
	maps.Copy(next, last)
	for range 1 + rng.IntN(4) {
		p := names[rng.IntN(len(names))]
		if _, there := next[p]; there && rng.IntN(2) == 0 {
			delete(next, p)
			continue
		}
		for other := range next {
			if strings.HasPrefix(other, p+"/") || strings.HasPrefix(p, other+"/") {
				delete(next, other)
			}
		}
		next[p] = fmt.Sprint(rng.IntN(3))
	}
	return next
}

// content is what the newest generation names.
func (o *origin) content() backendtest.Content { return o.last }

// keep makes entries of c: what ends in a letter up to f is an index, the rest objects.
func (o *origin) keep(content map[manifest.Digest]string, c backendtest.Content) []manifest.Entry {
	o.last = c
	var out []manifest.Entry
	for _, p := range slices.Sorted(maps.Keys(c)) {
		e := object(p, c[p])
		if p[len(p)-1] <= 'f' {
			e.Kind = manifest.Index1
		}
		content[sha256.Sum256([]byte(c[p]))] = c[p]
		out = append(out, e)
	}
	return out
}

func (o *origin) lastSegments(t *testing.T) []manifest.Digest {
	t.Helper()
	id, err := o.gen.ManifestID()
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Open(o, id)
	if err != nil {
		t.Fatal(err)
	}
	return append(m.Segments(), id)
}

// promised checks every readable generation.
func promised(t *testing.T, seed uint64, region string, story []backendtest.Content) {
	t.Helper()
	links, err := os.ReadDir(filepath.Join(region, ".releases/demo"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append([]string{"../../demo"}, baseNames(links)...) {
		n := len(story)
		if !strings.HasPrefix(l, ".") {
			fmt.Sscan(l, &n)
		}
		for p, want := range story[n-1] {
			if got, err := os.ReadFile(filepath.Join(region, ".releases/demo", l, p)); err != nil || string(got) != want {
				t.Fatalf("seed %d after generation %d: %s of generation %d is %q (%v), want %q", seed, len(story), p, n, got, err, want)
			}
		}
	}
}

func baseNames(entries []fs.DirEntry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// noMore compares what is in the views with what can be reached through the link.
func noMore(t *testing.T, seed uint64, region string, segments int) {
	t.Helper()
	private := filepath.Join(region, ".mirrorcycle/demo")
	reached := map[string]bool{}
	var reach func(p string)
	reach = func(p string) {
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for up := real; filepath.Dir(up) != private; up = filepath.Dir(up) {
			reached[up] = true
		}
		entries, _ := os.ReadDir(real)
		for _, e := range entries {
			reached[filepath.Join(real, e.Name())] = true
			reach(filepath.Join(real, e.Name()))
		}
	}
	reach(filepath.Join(region, "demo"))
	kept := 0
	err := filepath.WalkDir(private, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(private, p)
		top, below, _ := strings.Cut(rel, "/")
		switch {
		case err != nil || below == "":
		case (top == "views" || top == "below") && !reached[p], top == "drops", top == "replaced", top == "fetched" && !d.IsDir():
			t.Errorf("seed %d: %s is left behind", seed, rel)
		case top == "segments" && !d.IsDir():
			kept++
		case top == "segments":
			if entries, err := os.ReadDir(p); err != nil || len(entries) == 0 {
				t.Errorf("seed %d: %s is left empty, %v", seed, rel, err)
			}
		case top == "spare" && p == filepath.Join(private, top, d.Name()):
			if of, _ := url.PathUnescape(d.Name()); !isDir(filepath.Join(region, "demo", of)) {
				t.Errorf("seed %d: a spare is left of %s, which is no directory", seed, of)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if kept != segments {
		t.Errorf("seed %d: %d segments are kept, the manifest has %d", seed, kept, segments)
	}
}
