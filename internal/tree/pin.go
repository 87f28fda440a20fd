package tree

import (
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// pinned returns the generations up to number, ascending, of which clients prefer
// a suite to that of the last one: apt keeps a Release that is newer than the one
// a rollback shows. There may be several: after two rollbacks in a row some
// clients hold what the first one showed.
func (t *Tree) pinned(number int64) ([]*Generation, error) {
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	var known []*Generation
	for _, n := range all {
		if n > number {
			break
		}
		g, err := t.Generation(n)
		if err != nil {
			return nil, err
		}
		known = append(known, g)
	}
	var out []*Generation
	for _, g := range known {
		if g.Upstream.NewerThan(known[len(known)-1].Upstream) {
			out = append(out, g)
		}
	}
	return out, nil
}

// Pinned returns the generations of which clients prefer a part to the committed one.
func (t *Tree) Pinned() ([]*Generation, error) {
	g, err := t.Committed()
	if err != nil || g == nil {
		return nil, err
	}
	return t.pinned(g.Number)
}

// dropPinned also drops what pinned generations name and next does not. What
// base names is among the drops already. With next, the waiting begins anew.
func (t *Tree) dropPinned(drops *dropFile, number int64, base, next *manifest.Manifest) error {
	pinned, err := t.pinned(number - 1)
	if err != nil {
		return err
	}
	dropped := map[string]bool{}
	for _, g := range pinned {
		m, err := t.ManifestOf(g)
		if err != nil {
			return err
		}
		for d, err := range manifest.Diff(m, next) {
			if err != nil {
				return err
			}
			if d.New != nil || d.Old.Kind != manifest.Object || dropped[d.Old.Path] {
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
				dropped[d.Old.Path] = true
			}
		}
	}
	return nil
}
