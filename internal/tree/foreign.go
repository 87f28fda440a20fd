package tree

import "mirrorcycle/internal/manifest"

// Refers returns a function that tells whether this tree still refers to the
// object p of another mirror: by its committed generation, by one whose commit
// is under way, or by one that somebody may still ask for.
func (t *Tree) Refers(mirror string) (func(p string) (bool, error), error) {
	open, err := t.current()
	if err != nil {
		return nil, err
	}
	dropped := map[string]bool{}
	numbers, err := t.Drops()
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		for e, err := range t.DropsOf(n) {
			if err != nil {
				return nil, err
			}
			if e.Kind == manifest.Foreign {
				dropped[e.Path] = true
			}
		}
	}
	return func(p string) (bool, error) {
		name := manifest.ForeignPath(mirror, p)
		if ok, err := named(open, name); ok || err != nil {
			return ok, err
		}
		return dropped[name], nil
	}, nil
}
