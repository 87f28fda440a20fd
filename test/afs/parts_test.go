package afs_test

import (
	"errors"
	"strconv"
	"testing"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/fault"
)

// TestObjectsBeforeIndexes: a mirror whose pool is a volume of its own. What an
// index names is in every site before the index is.
func TestObjectsBeforeIndexes(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{Parts: []string{"pool"}})
	pool := r.volume.Name + ".pool"
	r.released(t, r.generation(t, "a", "b"))
	end := r.customers(t)
	for i := range 5 {
		r.released(t, r.generation(t, "a", "b"+strconv.Itoa(i)))
	}
	// Nothing new in the pool: it is left alone.
	whole := r.volume
	r.released(t, r.generation(t, "a")) // drops
	n := r.generation(t, "a")
	r.released(t, n)
	r.volume.Name = pool
	before := r.created(t)
	r.volume = whole
	n = r.generation(t, "a")
	r.released(t, n)
	r.volume.Name = pool
	if after := r.created(t); after != before || before == "" {
		t.Errorf("the pool was released without need:\n%s\n%s", before, after)
	}
	r.volume = whole
	// Where the pool cannot go out, the index stays as it is.
	r.generation(t, "a", "c")
	r.vos(t, "lock", "-id", pool, "-localauth")
	if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Conflict) {
		t.Errorf("a locked pool: %v", err)
	}
	r.served(t, n)
	r.vos(t, "unlock", "-id", pool, "-localauth")
	r.released(t, n+1)
	end()
}
