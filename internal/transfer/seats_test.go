package transfer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mirrorcycle/internal/transfer"
)

// crowd is an upstream that lets two ask at once, sees whether a seat is free
// then, and answers.
type crowd struct {
	*house
	seats *semaphore.Weighted
	met   chan struct{}

	mu             sync.Mutex
	now, n, vacant int
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.n++
	c.now++
	if c.now > 1 && c.seats.TryAcquire(1) {
		c.seats.Release(1)
		c.vacant++
	}
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
	c := &crowd{house: h, seats: semaphore.NewWeighted(2), met: make(chan struct{})}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	o := transfer.Options{Client: h.client, Upstreams: []string{srv.URL}, Workers: 4, Seats: c.seats}
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
	if c.vacant > 0 || c.n != 8 {
		t.Errorf("%d requests, want 8; %d times a seat was free while two workers were at it", c.n, c.vacant)
	}
	if !o.Seats.TryAcquire(2) {
		t.Error("seats are taken for ever")
	}
}
