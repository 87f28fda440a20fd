package tree

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }

// PurgePlans removes every plan except keep, and with each the objects that it
// brought into the tree but that were never committed.
func (t *Tree) PurgePlans(ctx context.Context, keep ...string) error {
	return t.purge(ctx, func(time.Time) bool { return false }, keep)
}

// TendPlans removes every plan except keep and those that brought objects
// which wait for a later commit: a unit that lacks one object stays as it is,
// and its other objects must not be downloaded again each time it is tried.
// Such a plan goes with its objects when nobody made it anew for the time given.
func (t *Tree) TendPlans(ctx context.Context, now time.Time, wait time.Duration, keep ...string) error {
	return t.purge(ctx, func(made time.Time) bool { return now.Sub(made) < wait }, keep)
}

// ForgetPlan removes a plan of which every object is named by the newest
// generation. Its items need not be read again to know that none is an orphan.
func (t *Tree) ForgetPlan(digest string) error { return t.dropState("plan", digest) }

// Awaited returns the objects that plans brought and that wait for a later
// commit: neither the newest generation nor a drop names them, and they are no strangers.
func (t *Tree) Awaited(ctx context.Context) (map[string]bool, error) {
	entries, err := os.ReadDir(t.statePath("plan"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var all []*Plan
	for _, e := range entries {
		if p, err := t.OpenPlan(e.Name()); err == nil {
			all = append(all, p)
		}
	}
	o := orphans{t: t}
	err = o.want(ctx, all)
	return o.wanted, err
}

func (t *Tree) purge(ctx context.Context, fresh func(made time.Time) bool, keep []string) error {
	entries, err := os.ReadDir(t.statePath("plan"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	o := orphans{t: t}
	var kept, gone []*Plan
	for _, e := range entries {
		p, err := t.OpenPlan(e.Name())
		if errors.Is(err, fault.Corrupt) || errors.Is(err, fault.Gone) {
			p, err = &Plan{t: t, Digest: e.Name()}, nil // what it brought is unknown; a full verification finds it
		}
		if err != nil {
			return err
		}
		stays := slices.Contains(keep, e.Name())
		if st, err := e.Info(); err == nil && !stays && fresh(st.ModTime()) {
			if stays, err = o.has(ctx, p); err != nil {
				return err
			}
		}
		if stays {
			kept = append(kept, p)
		} else {
			gone = append(gone, p)
		}
	}
	return o.purge(ctx, gone, kept)
}

// orphans knows what the tree must keep; it is read once for all plans.
type orphans struct {
	t        *Tree
	named    []*manifest.Manifest
	retained map[string]manifest.Entry
	wanted   map[string]bool // by plans that stay
}

// purge removes the plans gone and what they alone brought.
func (o *orphans) purge(ctx context.Context, gone, kept []*Plan) error {
	for _, p := range gone {
		has, err := o.has(ctx, p)
		if err != nil {
			return err
		}
		if has && o.wanted == nil {
			if err := o.want(ctx, kept); err != nil {
				return err
			}
		}
		if has {
			err = o.each(ctx, p, func(path string) (bool, error) {
				if o.wanted[path] {
					return true, nil
				}
				return true, o.t.discard(path)
			})
		}
		if err != nil {
			return err
		}
		if err := o.t.dropState("plan", p.Digest); err != nil {
			return err
		}
	}
	return nil
}

// want notes the orphans of the plans that stay.
func (o *orphans) want(ctx context.Context, kept []*Plan) error {
	o.wanted = map[string]bool{}
	for _, p := range kept {
		err := o.each(ctx, p, func(path string) (bool, error) {
			o.wanted[path] = true
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether p brought anything that is neither named nor retained.
func (o *orphans) has(ctx context.Context, p *Plan) (found bool, err error) {
	err = o.each(ctx, p, func(string) (bool, error) {
		found = true
		return false, nil
	})
	return found, err
}

// lookedUp is how many paths of a plan are looked up at once, sorted: plans
// come by unit, and each block of a manifest is to be read once.
const lookedUp = 1 << 15

// each calls f for what p brought and nobody names, until f says no.
func (o *orphans) each(ctx context.Context, p *Plan, f func(path string) (more bool, err error)) error {
	if err := o.read(); err != nil {
		return err
	}
	var paths []string
	for shard := range p.Info.Shards {
		for it, err := range p.Items(shard) {
			if err != nil {
				return err
			}
			paths = append(paths, it.Path)
			if it.Metadata {
				paths = append(paths, it.Path+".metadata")
			}
			if len(paths) >= lookedUp {
				if more, err := o.among(ctx, paths, f); err != nil || !more {
					return err
				}
				paths = paths[:0]
			}
		}
	}
	_, err := o.among(ctx, paths, f)
	return err
}

// among calls f for those of paths that nobody names, until f says no. It sorts paths.
func (o *orphans) among(ctx context.Context, paths []string, f func(path string) (more bool, err error)) (more bool, err error) {
	slices.Sort(paths)
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		is, err := o.is(path)
		if err == nil && is {
			more, err = f(path)
			if !more {
				return false, err
			}
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

func (o *orphans) read() error {
	if o.named != nil {
		return nil
	}
	var err error
	if o.retained, err = o.t.Retained(); err != nil {
		return err
	}
	o.named, err = o.t.current()
	return err
}

// is reports whether path is a file that neither the newest generation, nor one
// whose commit is under way, nor a drop names.
func (o *orphans) is(path string) (bool, error) {
	is, err := named(o.named, path)
	if _, kept := o.retained[path]; err != nil || is || kept {
		return false, err
	}
	_, there, err := o.t.Stat(path)
	if fault.KindOf(err) == fault.Hostile {
		return false, nil // whatever lies there, no plan brought it
	}
	return there, err
}
