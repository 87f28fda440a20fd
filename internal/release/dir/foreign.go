package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// An index may name objects of another mirror of the same region. Two rules
// keep promise 1 for them, whoever is killed or delayed between any two steps:
//
//   - The mirror that refers writes down its next generation (gens/<n>) before
//     it looks whether the other one names, at that moment, every object that is
//     new to it; only then it flips.
//   - The mirror that is referred to deletes an object only after it has shown a
//     generation without it for the grace, and looks at the other one's records
//     after that.
//
// So either the record is seen, and the object stays, or the look finds that the
// object is no longer named, and the flip does not come about. What a later
// generation of the referring mirror no longer names is among its drops until
// its own clients' time is over.

// others refuses p if another mirror does not name, in this region, what p refers to.
func (s *session) others(p *plan) error {
	open := map[string]*manifest.Manifest{}
	for _, e := range p.foreign {
		mirror, object, ok := manifest.SplitForeign(e.Path)
		if !ok {
			return &fault.Error{Kind: fault.Corrupt, Op: "dir: publish", Subject: e.Path, Err: errors.New("no reference to another mirror"), Advice: "run the mirror again"}
		}
		if open[mirror] == nil {
			_, m, err := s.beside(mirror).served()
			if err != nil {
				return err
			}
			open[mirror] = m
		}
		if got, named, err := open[mirror].Lookup(object); err != nil {
			return err
		} else if !named || got.Kind != manifest.Object || got.Digest != e.Digest {
			return &fault.Error{Kind: fault.Early, Op: "dir: publish", Subject: s.link(),
				Err:    fmt.Errorf("its indexes name %s of mirror %s, which the region does not serve", object, mirror),
				Advice: "nothing to do: it is published when the region has the generation of " + mirror + " that it was made from"}
		}
	}
	return nil
}

// beside is another mirror of the same region, to be read only.
func (r *Region) beside(mirror string) *Region {
	o := r.Options
	o.Mirror, o.Tree, o.Referring = mirror, "", nil
	return &Region{o}
}

// served returns what the region serves of a mirror, whatever tree it is of; 0 and nothing if it serves none.
func (r *Region) served() (int64, *manifest.Manifest, error) {
	s, err := tree.ReadServed(filepath.Join(r.Dir, r.Mirror))
	if errors.Is(err, fs.ErrNotExist) {
		m, err := r.manifestOf(nil)
		return 0, m, err
	}
	if err != nil {
		return 0, nil, err
	}
	m, err := r.manifestOf(&s)
	return s.Number, m, err
}

// keepReferred takes the drops off the due ones of which another mirror still
// refers to an object.
func (v *survey) keepReferred() error {
	if len(v.due) == 0 || len(v.Referring) == 0 {
		return nil
	}
	var all []func(p string) (bool, error)
	for _, mirror := range v.Referring {
		refers, err := v.beside(mirror).refers(v.Mirror)
		if err != nil {
			return err
		}
		all = append(all, refers)
	}
	return v.condemned(func(n int64) bool { return v.due[n] }, func(n int64, e manifest.Entry) error {
		for _, refers := range all {
			if yes, err := refers(e.Path); err != nil {
				return err
			} else if yes {
				delete(v.due, n)
			}
		}
		return nil
	})
}

// refers tells which objects of the mirror to clients of this one may ask for:
// those that the generation that is served names, or one that is about to be,
// or that clients of older ones may still hold.
func (r *Region) refers(to string) (func(p string) (bool, error), error) {
	number, m, err := r.served()
	if err != nil {
		return nil, err
	}
	open := []*manifest.Manifest{m}
	all, err := tree.Numbered(r.path("gens"), "")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dir: list generations: %w", err)
	}
	for _, n := range slices.Sorted(slices.Values(all)) {
		if n <= number {
			continue
		}
		rec, err := r.record(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a dead attempt that was cleared away
		}
		if err == nil {
			m, err = r.manifestOf(&rec.Served)
		}
		if err != nil {
			return nil, err
		}
		open = append(open, m)
	}
	dropped, err := r.droppedForeign()
	if err != nil {
		return nil, err
	}
	return func(p string) (bool, error) {
		name := manifest.ForeignPath(to, p)
		for _, m := range open {
			if _, ok, err := m.Lookup(name); ok || err != nil {
				return ok, err
			}
		}
		return dropped[name], nil
	}, nil
}

func (r *Region) droppedForeign() (map[string]bool, error) {
	out := map[string]bool{}
	numbers, err := tree.Numbered(r.path("drops"), "")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dir: list drops: %w", err)
	}
	for _, n := range numbers {
		for e, err := range r.dropped(n) {
			if err != nil {
				return nil, err
			}
			if e.Kind == manifest.Foreign {
				out[e.Path] = true
			}
		}
	}
	return out, nil
}
