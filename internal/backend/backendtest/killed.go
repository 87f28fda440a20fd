package backendtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// life is what the regions go through: something is added, dropped, comes
// back, is changed in place and dropped again; indexes come and go.
var life = []Content{
	first,
	second,
	{"pool/a": "aaa", "pool/b/b": "BBB", "dists/x/P": "a B", "dists/New": "new", "dists/Release": "3"},
	{"pool/b/b": "BBB", "pool/z": "z", "dists/x/P": "B", "dists/Release": "4"},
}

// steps of the life, each at a time of its own so that a repetition finds the same clock.
type step struct {
	at time.Duration
	do func(b backend.Backend) error
}

func steps(sources []backend.Source, regions []string) [][]step {
	var out [][]step
	for i, src := range sources {
		n := int64(i + 1)
		confirm := func(b backend.Backend) error {
			for _, region := range regions {
				if err := b.Confirm(context.Background(), region, n); err != nil {
					return err
				}
			}
			return nil
		}
		reap := func(b backend.Backend) error { _, err := b.Reap(context.Background()); return err }
		publish := func(b backend.Backend) error { _, err := b.Publish(context.Background(), src); return err }
		list := []step{{0, publish}, {0, confirm}, {1, reap}, {2, confirm}, {4, confirm}, {5, reap}}
		for j := range list {
			list[j].at = (time.Duration(i)*100 + list[j].at) * time.Hour
		}
		out = append(out, list)
	}
	return out
}

// lead lives on from the generation that the regions serve.
func (r *rig) lead(sources []backend.Source, crash func(string)) error {
	var offset time.Duration
	begin := r.now
	b := r.Open(Options{Policy: policy, Crash: crash, Now: func() time.Time { return begin.Add(offset) }})
	serving, err := b.Serving(context.Background())
	if err != nil {
		return err
	}
	from := serving[0].Serves
	for i, list := range steps(sources, r.Regions) {
		if int64(i+1) < from {
			continue
		}
		for _, s := range list {
			offset = s.at
			if err := s.do(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// undisturbed is how the life ends if nothing happens, and the boundaries that it passes.
func undisturbed(t *testing.T, h Harness) (trees []Place, sources []backend.Source, want map[string]string, points []string) {
	t.Helper()
	r := newRig(t, h, life...)
	for _, p := range r.trees {
		sources = append(sources, h.Source(t, p))
	}
	var mu sync.Mutex
	if err := r.lead(sources, func(p string) { mu.Lock(); points = append(points, p); mu.Unlock() }); err != nil {
		t.Fatal(err)
	}
	// What the last generation dropped waits for the snapshot before it; the rest is gone.
	r.look(t, with(life[3], Content{"pool/a": "aaa"}))
	return r.trees, sources, r.State(t), points
}

func (h Harness) again(t *testing.T, trees []Place) *rig {
	return &rig{Group: h.New(t, trees[0].Tree), h: h, trees: trees, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// testKilled stops a process at each write boundary in turn; the next one must
// end with the very regions of an undisturbed life.
func testKilled(t *testing.T, h Harness) {
	trees, sources, want, points := undisturbed(t, h)
	if len(points) < 20 {
		t.Fatalf("only %d write boundaries: %v", len(points), points)
	}
	t.Logf("%d write boundaries", len(points))
	for i := 0; i < len(points); i += h.stride() {
		r := h.again(t, trees)
		point := r.kill(sources, i)
		for _, region := range r.Regions {
			if serving, err := r.open().Serving(t.Context()); err != nil || (serving[0].Serves > 0 && !whole(r.Root(region))) {
				t.Fatalf("%d %s: %s does not serve a whole generation: %+v, %v", i, point, region, serving, err)
			}
		}
		if err := r.lead(sources, nil); err != nil {
			t.Fatalf("%d %s: the next process: %v", i, point, err)
		}
		if diff := cmp.Diff(want, r.State(t)); diff != "" {
			t.Fatalf("%d %s: %s", i, point, diff)
		}
	}
}

// testSkipped stops a process anywhere; what comes next is not the generation
// that it was at but a newer one, which touches the same directories.
func testSkipped(t *testing.T, h Harness) {
	last := Content{"pool/b/b": "BBB", "pool/b/new": "n", "pool/d/e/g": "g", "pool/y": "y", "dists/x/Q": "Q", "dists/Release": "5"}
	trees := Prepare(t, append(slices.Clone(life), last)...)
	var sources []backend.Source
	for _, p := range trees {
		sources = append(sources, h.Source(t, p))
	}
	n := 0
	var mu sync.Mutex
	if err := h.again(t, trees).lead(sources[:4], func(string) { mu.Lock(); n++; mu.Unlock() }); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += h.stride() {
		r := h.again(t, trees)
		point := r.kill(sources[:4], i)
		r.now = r.now.Add(500 * time.Hour)
		if _, err := r.open().Publish(t.Context(), sources[4]); err != nil {
			t.Fatalf("%d %s: %v", i, point, err)
		}
		for range 3 {
			r.served(t, 5, 3)
			r.reap(t)
			r.now = r.now.Add(policy.Keep)
		}
		r.served(t, 5, 3)
		if got := r.reap(t); got.Waiting != 0 {
			t.Fatalf("%d %s: %+v still wait", i, point, got)
		}
		r.look(t, last)
	}
}

// kill lets a process die at boundary i: it stops there for ever and nothing
// of it, not even another goroutine of it, comes past another boundary.
func (r *rig) kill(sources []backend.Source, i int) string {
	var mu sync.Mutex
	n := 0
	died := make(chan string, 1)
	never := make(chan struct{})
	go func() {
		r.lead(sources, func(point string) {
			mu.Lock()
			n++
			at := n
			mu.Unlock()
			if at == i+1 {
				died <- point
			}
			if at > i {
				<-never
			}
		})
		died <- "end"
	}()
	return <-died
}

// testZombie lets a process sleep at each write boundary while another takes
// over and finishes; waking up, it must change nothing and say fenced.
func testZombie(t *testing.T, h Harness) {
	trees, sources, want, points := undisturbed(t, h)
	for i := 0; i < len(points); i += h.stride() {
		r := h.again(t, trees)
		asleep, wake, ended := make(chan string, 1), make(chan struct{}), make(chan error, 1)
		var mu sync.Mutex
		n := 0
		go func() {
			ended <- r.lead(sources, func(point string) {
				mu.Lock()
				n++
				at := n
				mu.Unlock()
				if at == i+1 {
					asleep <- point
				}
				if at > i {
					<-wake
				}
			})
		}()
		var point string
		select {
		case point = <-asleep:
		case err := <-ended: // goroutines of one process took another order
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			continue
		}
		if err := r.lead(sources, nil); err != nil {
			t.Fatalf("%d %s: take-over: %v", i, point, err)
		}
		close(wake)
		if err := <-ended; !errors.Is(err, fault.Fenced) {
			t.Fatalf("%d %s: the zombie ended with %v, want fenced", i, point, err)
		}
		if diff := cmp.Diff(want, r.State(t)); diff != "" {
			t.Fatalf("%d %s: the zombie changed the regions: %s", i, point, diff)
		}
	}
}

// whole reports whether everything that the generation in dir names is there.
func whole(dir string) bool {
	s, err := tree.ReadServed(dir)
	if err != nil {
		return false
	}
	for p, data := range life[s.Number-1] {
		if got, err := os.ReadFile(filepath.Join(dir, p)); err != nil || string(got) != data {
			return false
		}
	}
	return true
}
