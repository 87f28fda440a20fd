package activities

import (
	"path"

	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// maxLacks bounds the examples in a status.
const maxLacks = 20

// lacking says how complete a pypi mirror is.
func (s *MirrorStatus) lacking(t *tree.Tree, q Question) error {
	if q.Target.Mirror.Kind != mirrorspec.PyPI {
		return nil
	}
	var some []pypi.Lack
	var err error
	s.Missing, s.Refused, some, err = pypi.Lacking(t, maxLacks)
	for _, l := range some {
		s.Lacks = append(s.Lacks, Lack(l))
	}
	return err
}

// lacking says why a file of a pypi mirror is not on its page.
func (w *Why) lacking(t *tree.Tree, q Question) error {
	if q.Target.Mirror.Kind != mirrorspec.PyPI {
		return nil
	}
	_, _, all, err := pypi.Lacking(t, 1<<20)
	for _, l := range all {
		if l.File == path.Base(w.Path) {
			w.Lacks = l.Reason
		}
	}
	return err
}
