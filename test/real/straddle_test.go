package real_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"mirrorcycle/workflows"
)

// TestClientsStraddleCycles has clients read lists, waits for the region to
// change under them, and has them install by the lists they read. Upstream
// changes with every cycle; whatever a client does, a cycle runs beside it.
func TestClientsStraddleCycles(t *testing.T) {
	t.Parallel()
	const rounds = 10
	w := newWorld(t, 2*time.Minute)
	was := find(t, w.debs, changedPackage)
	states := [][]deb{append(without(w.debs, changedPackage), newer(t, was, "+real1")), w.debs}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := straddler{apt: w.apt(), installers: newInstallers(t, w.in), index: w.index(), flips: newFlips()}
	done := make(chan error, 1)
	go func() {
		for range rounds {
			if err := c.round(ctx); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			must(t, err)
			if n < rounds {
				t.Fatalf("%d flips in %d rounds", n, rounds)
			}
			t.Logf("%d flips in %d rounds", n, rounds)
			return
		default:
		}
		w.publish(states[n%2]...)
		if n%2 == 0 {
			w.u.Objects(changedProject, w.projects[changedProject])
		} else {
			w.u.Objects(changedProject, w.old)
		}
		w.cycle(workflows.Done, workflows.Done)
		c.flips.done()
	}
}

// straddler is a client of each kind beside cycles that go on.
type straddler struct {
	apt        *apt
	installers []*installer
	index      string
	flips      *flips
}

// round reads lists, lets them become old, and installs.
func (s straddler) round(ctx context.Context) error {
	if err := s.apt.update(); err != nil {
		return err
	}
	s.flips.wait(ctx)
	if _, err := s.apt.install(changedPackage, "jq", "bc"); err != nil {
		return err
	}
	wanted := []string{changedProject, "jinja2"}
	for _, i := range s.installers {
		if err := i.gets(s.index, wanted, wanted); err != nil {
			return err
		}
	}
	return nil
}

// flips tells those who wait that a cycle which began after they asked has ended.
type flips struct {
	mu   sync.Mutex
	next chan struct{}
}

func newFlips() *flips { return &flips{next: make(chan struct{})} }

func (f *flips) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.next)
	f.next = make(chan struct{})
}

// wait returns when the second next cycle has ended: the next one may have
// published before the caller read its lists.
func (f *flips) wait(ctx context.Context) {
	for range 2 {
		f.mu.Lock()
		next := f.next
		f.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
}
