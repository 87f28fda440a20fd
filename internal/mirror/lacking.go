package mirror

import (
	"path"

	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
)

// maxLacks bounds the examples in a status.
const maxLacks = 20

// lacking says how complete the mirror is, where its kind can tell.
func (s *MirrorStatus) lacking(t *tree.Tree, q Question) error {
	lacks := kinds[q.Target.Mirror.Kind].lacks
	if lacks == nil {
		return nil
	}
	var some []pypi.Lack
	var err error
	s.Missing, s.Refused, some, err = lacks(t, maxLacks)
	for _, l := range some {
		s.Lacks = append(s.Lacks, Lack(l))
	}
	return err
}

// lacking says why a file of a mirror is not on its page.
func (w *Why) lacking(t *tree.Tree, q Question) error {
	lacks := kinds[q.Target.Mirror.Kind].lacks
	if lacks == nil {
		return nil
	}
	_, _, all, err := lacks(t, 1<<20)
	for _, l := range all {
		if l.File == path.Base(w.Path) {
			w.Lacks = l.Reason
		}
	}
	return err
}
