package mirror

import (
	"sync"

	"golang.org/x/sync/semaphore"
)

// seats lets the shards of a plan that this worker has under way share their
// workers: all of them together would wait for each other at every object. A
// plan has seats of its own, so that a mirror whose upstream is slow or down
// takes none from another.
type seats struct {
	mu  sync.Mutex
	all map[string]*row
}

// row is the seats of one plan, kept while a shard of it is under way.
type row struct {
	*semaphore.Weighted
	shards int
}

// of returns the seats of a plan: two for each download, because a worker that
// lands an object, or waits before it tries again, does not download. The
// caller calls leave when its shard is done.
func (s *seats) of(plan string, downloads int) (_ *semaphore.Weighted, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[plan]
	if r == nil {
		if s.all == nil {
			s.all = map[string]*row{}
		}
		r = &row{Weighted: semaphore.NewWeighted(2 * int64(max(downloads, 1)))}
		s.all[plan] = r
	}
	r.shards++
	return r.Weighted, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.shards--; r.shards == 0 {
			delete(s.all, plan)
		}
	}
}
