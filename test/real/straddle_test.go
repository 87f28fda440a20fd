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
	flips := newFlips()
	client, installers := w.apt(), newInstallers(t, w.in)
	names := []string{changedPackage, "jq", "bc"}
	done := make(chan error, 1)
	go func() {
		for range rounds {
			if err := client.update(); err != nil {
				done <- err
				return
			}
			flips.wait(ctx)
			if _, err := client.install(names...); err != nil {
				done <- err
				return
			}
			for _, i := range installers {
				if err := i.gets(w.index(), []string{changedProject, "jinja2"}, []string{changedProject, "jinja2"}); err != nil {
					done <- err
					return
				}
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
		flips.done()
	}
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
