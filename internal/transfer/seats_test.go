package transfer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mirrorcycle/internal/transfer"
)

// crowd is an upstream that counts how many ask at once. The first two answers
// wait for each other.
type crowd struct {
	*house
	mu           sync.Mutex
	now, most, n int
	met          chan struct{}
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.n++
	c.now++
	c.most = max(c.most, c.now)
	if c.n == 2 {
		close(c.met)
	}
	c.mu.Unlock()
	<-c.met
	c.house.ServeHTTP(w, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

// TestSeatsAreShared has two shards with four workers each use two seats.
func TestSeatsAreShared(t *testing.T) {
	h := newHouse(t)
	c := &crowd{house: h, met: make(chan struct{})}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	o := transfer.Options{Client: h.client, Upstreams: []string{srv.URL}, Workers: 4, Seats: semaphore.NewWeighted(2)}
	var g errgroup.Group
	for _, shard := range []string{"a", "b"} {
		p := h.plan(h.item(shard+"/1", shard+"1"), h.item(shard+"/2", shard+"2"), h.item(shard+"/3", shard+"3"), h.item(shard+"/4", shard+"4"))
		g.Go(func() error {
			results, err := transfer.Run(t.Context(), h.tree, p, 0, o)
			if err == nil && len(results) != 4 {
				err = fmt.Errorf("%d results", len(results))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if c.most != 2 || c.n != 8 {
		t.Errorf("%d requests, %d at once; want 8, 2 at once", c.n, c.most)
	}
	if !o.Seats.TryAcquire(2) {
		t.Error("seats are taken for ever")
	}
}

// TestNoSeat ends a shard that waits for a seat.
func TestNoSeat(t *testing.T) {
	h := newHouse(t)
	p := h.plan(h.item("a", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	seats := semaphore.NewWeighted(1)
	seats.TryAcquire(1)
	if _, err := transfer.Run(ctx, h.tree, p, 0, transfer.Options{Client: h.client, Upstreams: []string{h.url}, Workers: 1, Seats: seats}); err == nil {
		t.Error("it went on without a seat")
	}
}
