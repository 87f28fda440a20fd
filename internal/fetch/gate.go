package fetch

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// gate lets so many downloads pass at once, in all and per host, and remembers
// which hosts did not answer.
type gate struct {
	all     *semaphore.Weighted
	perHost int64

	mu    sync.Mutex
	hosts map[string]*semaphore.Weighted
	down  map[string]time.Time // host → when it may be preferred again
}

// downFor is how long a host that did not answer is tried after the others: each
// of a hundred thousand objects would otherwise wait for the same dead host.
const downFor = time.Minute

func newGate(all, perHost int) *gate {
	return &gate{all: semaphore.NewWeighted(int64(all)), perHost: int64(perHost),
		hosts: map[string]*semaphore.Weighted{}, down: map[string]time.Time{}}
}

// enter waits for a place at the host, then for one of all: the other way round,
// waiting for a busy host would keep others out.
func (g *gate) enter(ctx context.Context, host string) (leave func(), err error) {
	g.mu.Lock()
	at := g.hosts[host]
	if at == nil {
		at = semaphore.NewWeighted(g.perHost)
		g.hosts[host] = at
	}
	g.mu.Unlock()
	if err := at.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := g.all.Acquire(ctx, 1); err != nil {
		at.Release(1)
		return nil, err
	}
	return func() { g.all.Release(1); at.Release(1) }, nil
}

func (g *gate) setDown(host string, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.IsZero() {
		delete(g.down, host)
	} else {
		g.down[host] = until
	}
}

// order returns the numbers of the targets in the order to try them: as given,
// but hosts that are down last.
func (g *gate) order(targets []target, now time.Time) []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	var up, down []int
	for i, t := range targets {
		if now.Before(g.down[t.url.Host]) {
			down = append(down, i)
		} else {
			up = append(up, i)
		}
	}
	return slices.Concat(up, down)
}
