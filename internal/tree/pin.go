package tree

import (
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// pinned returns the generation up to number whose index clients prefer to that
// of the last one: apt keeps a Release that is newer than the one a rollback
// shows. It is nil if the last one has the highest upstream Date.
func (t *Tree) pinned(number int64) (*Generation, error) {
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	var top, last *Generation
	for _, n := range all {
		if n > number {
			break
		}
		if last, err = t.Generation(n); err != nil {
			return nil, err
		}
		if top == nil || !top.Upstream.Date.After(last.Upstream.Date) {
			top = last
		}
	}
	if top == last {
		return nil, nil
	}
	return top, nil
}

// pinnedNow returns the generation that clients prefer to the committed one.
func (t *Tree) pinnedNow() (*Generation, error) {
	g, err := t.Committed()
	if err != nil || g == nil {
		return nil, err
	}
	return t.pinned(g.Number)
}

// dropPinned also drops what a pinned generation names and next does not. What
// base names is among the drops already. With next, the waiting begins anew.
func (t *Tree) dropPinned(drops *dropFile, number int64, base, next *manifest.Manifest) error {
	g, err := t.pinned(number - 1)
	if err != nil || g == nil {
		return err
	}
	m, err := t.ManifestOf(g)
	if err != nil {
		return err
	}
	for d, err := range manifest.Diff(m, next) {
		if err != nil {
			return err
		}
		if d.New != nil || d.Old.Kind != manifest.Object {
			continue
		}
		_, named, err := base.Lookup(d.Old.Path)
		if err != nil {
			return err
		}
		// One that is gone must not be called retained.
		_, there, err := t.Stat(d.Old.Path)
		if err != nil && fault.KindOf(err) != fault.Hostile {
			return err
		}
		if there && !named {
			drops.add(*d.Old)
		}
	}
	return nil
}
