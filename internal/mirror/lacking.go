package mirror

import (
	"path"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// maxLacks bounds the examples in a status.
const maxLacks = 20

// lacking says what the committed generation has not of what upstream lists, and
// names up to max of it, where the kind can tell.
func lacking(t *tree.Tree, kind mirrorspec.Kind, max int) (tree.Lacks, error) {
	if lacks := kinds[kind].Lacks; lacks != nil {
		return lacks(t, max)
	}
	return tree.Lacks{}, nil
}

// lacking says how complete a mirror is.
func (s *MirrorStatus) lacking(t *tree.Tree, q Question) error {
	l, err := lacking(t, q.Target.Mirror.Kind, maxLacks)
	s.Missing, s.Refused = l.Totals()
	for _, k := range l.Some {
		out := Lack{File: k.File, Reason: k.Reason, Refused: k.Refused}
		if q.Target.Mirror.Kind == mirrorspec.PyPI {
			out.Project = k.Unit
		} else {
			out.Suite = k.Unit
		}
		s.Lacks = append(s.Lacks, out)
	}
	return err
}

// lacksOf is what a status page shows of it.
func lacksOf(l tree.Lacks) *site.Lacks {
	if len(l.Some) == 0 {
		return nil
	}
	out := &site.Lacks{Missing: byKind(l.Missing), Refused: byKind(l.Refused)}
	for _, k := range l.Some {
		out.Some = append(out.Some, site.Lack{Unit: k.Unit, File: k.File, Reason: k.Reason, Refused: k.Refused})
	}
	return out
}

func byKind(by map[fault.Kind]int64) map[string]int64 {
	out := map[string]int64{}
	for kind, n := range by {
		if kind == "" {
			kind = "other"
		}
		out[string(kind)] = n
	}
	return out
}

// lacking says why a file that upstream lists is not there, or is what it was.
func (w *Why) lacking(t *tree.Tree, q Question) error {
	all, err := lacking(t, q.Target.Mirror.Kind, 1<<20)
	for _, l := range all.Some {
		if l.File != "" && (l.File == w.Path || l.File == path.Base(w.Path)) {
			w.Lacks = l.Reason
		}
	}
	return err
}
