package verify

import (
	"context"
	"iter"
	"maps"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// together is how many files are looked at one after the other.
const together = 256

// part is some neighbouring files, and what was found of them.
type part struct {
	t       *tree.Tree
	deep    bool
	foreign func(mirror, path string) (manifest.Entry, bool, error)
	deltas  []manifest.Delta
	report  Report
	indexes []manifest.Entry
	done    chan struct{}
}

// files checks that every file is there as the manifest says: several parts at
// once, reported in the order of the manifest.
func (c *checker) files(ctx context.Context, deltas iter.Seq2[manifest.Delta, error]) error {
	g, ctx := errgroup.WithContext(ctx)
	lookers := runtime.GOMAXPROCS(0)
	todo, order := make(chan *part, lookers), make(chan *part, 4*lookers)
	var entries, hashed atomic.Int64
	for range lookers {
		g.Go(func() error {
			for p := range todo {
				if err := p.look(ctx); err != nil {
					return err
				}
				n, bytes := entries.Add(int64(len(p.deltas))), hashed.Add(p.report.Hashed)
				if c.o.Progress != nil {
					c.o.Progress(n, bytes)
				}
				close(p.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		return c.cut(ctx, deltas, func(p *part) error {
			for _, to := range []chan *part{todo, order} {
				select {
				case to <- p:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})
	})
	g.Go(func() error {
		for p := range order {
			select {
			case <-p.done:
				c.take(p)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return g.Wait()
}

// cut hands the deltas out in parts.
func (c *checker) cut(ctx context.Context, deltas iter.Seq2[manifest.Delta, error], hand func(*part) error) error {
	var p *part
	for d, err := range deltas {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if p == nil {
			p = &part{t: c.t, deep: c.o.Deep, foreign: c.o.Foreign, deltas: make([]manifest.Delta, 0, together), done: make(chan struct{})}
		}
		if p.deltas = append(p.deltas, d); len(p.deltas) == together {
			if err := hand(p); err != nil {
				return err
			}
			p = nil
		}
	}
	if p == nil {
		return nil
	}
	return hand(p)
}

// take adds up what was found.
func (c *checker) take(p *part) {
	c.report.Indexes += p.report.Indexes
	c.report.Objects += p.report.Objects
	c.report.Hashed += p.report.Hashed
	for _, problem := range p.report.Problems {
		c.report.add("%s", problem)
	}
	c.report.Others += p.report.Others
	if c.report.Units == nil {
		c.report.Units = map[string]bool{}
	}
	maps.Copy(c.report.Units, p.report.Units)
	c.report.Damaged = append(c.report.Damaged, p.report.Damaged[:min(len(p.report.Damaged), maxProblems-min(maxProblems, len(c.report.Damaged)))]...)
	c.indexes = append(c.indexes, p.indexes...)
}

func (p *part) look(ctx context.Context) error {
	for _, d := range p.deltas {
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.New == nil {
			p.removed(*d.Old)
		} else if err := p.entry(*d.New); err != nil {
			return err
		}
	}
	return nil
}

// entry checks that a file is there as the manifest says.
func (p *part) entry(e manifest.Entry) error {
	if e.Kind == manifest.Foreign {
		return p.other(e)
	}
	size, there, err := p.t.Stat(e.Path)
	switch {
	case err != nil && fault.KindOf(err) != fault.Hostile:
		return err
	case err != nil:
		p.report.of(e.Path, "%v", err)
		return nil
	case !there:
		p.damaged(e, "%s is missing", e.Path)
		return nil
	case size != e.Size:
		p.damaged(e, "%s has %d bytes, want %d", e.Path, size, e.Size)
		return nil
	}
	if e.Kind.IsIndex() {
		p.report.Indexes++
		p.indexes = append(p.indexes, e)
		return p.hash(e)
	}
	p.report.Objects++
	if p.deep {
		return p.hash(e)
	}
	return nil
}

// other checks that the mirror that has an object names it, as it is, in what regions get of it.
func (p *part) other(e manifest.Entry) error {
	mirror, object, ok := manifest.SplitForeign(e.Path)
	if !ok || p.foreign == nil {
		p.report.problem("%s is of a mirror that is not at hand", e.Path)
		return nil
	}
	got, ok, err := p.foreign(mirror, object)
	switch {
	case err != nil:
		return err
	case !ok || got.Kind != manifest.Object:
		p.report.problem("mirror %s does not name %s any more", mirror, object)
	case got.Digest != e.Digest || got.Size != e.Size:
		p.report.problem("mirror %s has %s with SHA-256 %s, want %s", mirror, object, got.Digest, e.Digest)
	}
	return nil
}

func (p *part) hash(e manifest.Entry) error {
	got, err := p.t.Hash(e.Path)
	if tree.Unreadable(err) {
		p.damaged(e, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	p.report.Hashed += got.Size
	if got.Digest != e.Digest {
		p.damaged(e, "%s has SHA-256 %s, want %s", e.Path, got.Digest, e.Digest)
	}
	return nil
}

func (p *part) damaged(e manifest.Entry, format string, args ...any) {
	p.report.of(e.Path, format, args...)
	p.report.Damaged = append(p.report.Damaged, e)
}

// removed checks that an index that is no longer named is no longer served.
func (p *part) removed(e manifest.Entry) {
	if !e.Kind.IsIndex() {
		return
	}
	if _, there, err := p.t.Stat(e.Path); err != nil || there {
		p.report.of(e.Path, "%s is still there, and no longer named", e.Path)
	}
}
