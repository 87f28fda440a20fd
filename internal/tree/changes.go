package tree

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// changes sums up the difference and checks that its content is at hand, for
// several parts of it at once: each file is looked at.
func (t *Tree) changes(old, next *manifest.Manifest) (sum Changes, err error) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	count := func(deltas []manifest.Delta) error {
		var c Changes
		for _, d := range deltas {
			if err := t.count(&c, d); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		sum.merge(c)
		return nil
	}
	const together = 256
	var deltas []manifest.Delta
	for d, err := range manifest.Diff(old, next) {
		if err != nil {
			return Changes{}, errors.Join(err, g.Wait())
		}
		if deltas = append(deltas, d); len(deltas) == together {
			part := deltas
			g.Go(func() error { return count(part) })
			deltas = make([]manifest.Delta, 0, together)
		}
	}
	g.Go(func() error { return count(deltas) })
	err = g.Wait()
	return sum, err
}

func (c *Changes) merge(o Changes) {
	c.Added += o.Added
	c.AddedBytes += o.AddedBytes
	c.Dropped += o.Dropped
	c.Replaced += o.Replaced
	c.Indexes += o.Indexes
}

// count adds d to the totals and checks that its content is at hand.
func (t *Tree) count(c *Changes, d manifest.Delta) error {
	switch {
	case d.New == nil && d.Old.Kind == manifest.Foreign, d.New != nil && d.New.Kind == manifest.Foreign: // no file of ours
	case d.New == nil && d.Old.Kind.IsIndex():
		c.Indexes++
	case d.New == nil:
		c.Dropped++
	case d.New.Kind.IsIndex():
		c.Indexes++
		if _, err := os.Stat(t.blobPath("index", d.New.Digest)); err != nil {
			return fmt.Errorf("tree: commit %s: content of the index is not kept: %w", d.New.Path, err)
		}
	default:
		if d.Old != nil {
			c.Replaced++
		} else {
			c.Added++
			c.AddedBytes += d.New.Size
		}
		size, ok, err := t.Stat(d.New.Path)
		if err != nil {
			return err
		}
		if !ok || size != d.New.Size {
			return &fault.Error{Kind: fault.Corrupt, Op: "tree: commit", Subject: d.New.Path,
				Err: fmt.Errorf("the object is not in the tree with %d bytes", d.New.Size), Advice: "run the mirror again"}
		}
	}
	return nil
}
