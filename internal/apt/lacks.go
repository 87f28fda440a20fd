package apt

import (
	"maps"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// leftOut is how the note on a missing object begins, after its path.
const leftOut = " is left out: "

// Lacking says what the suites of the committed generation lack of what their
// indexes name: packages that upstream does not have, or has with other bytes;
// and what else was left out, such as a stanza without a digest or a form of an
// index. It names some of it.
func Lacking(t *tree.Tree, some int) (tree.Lacks, error) {
	var out tree.Lacks
	g, err := t.Committed()
	if err != nil {
		return out, err
	}
	s, err := readState(g)
	if err != nil {
		return out, err
	}
	for _, suite := range slices.Sorted(maps.Keys(s.Suites)) {
		if err := s.Suites[suite].sum(t, suite, &out, some); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s suiteState) sum(t *tree.Tree, suite string, out *tree.Lacks, some int) error {
	table, err := openTable(t, s.Missing)
	if err != nil {
		return err
	}
	why := map[string]tree.Note{} // by path
	for _, n := range s.Notes {
		if p, _, ok := strings.Cut(n.Error, leftOut); ok {
			why[p] = n
			continue
		}
		kind := fault.Kind(n.Kind)
		if kind == fault.Stale || kind == fault.Config {
			continue // of the suite as a whole: nothing that it lists
		}
		refused := kind != fault.Gone && kind != fault.Unavailable && kind != fault.Denied
		out.Add(kind, refused, max(n.Count, 1))
		out.Name(tree.Lack{Unit: suite, Reason: n.Error, Kind: kind, Refused: refused}, some)
	}
	for e, err := range table.All() {
		if err != nil {
			return err
		}
		n, ok := why[e.Path]
		if !ok {
			continue // the other digest of a path that is listed twice: its note is counted
		}
		out.Add(fault.Kind(n.Kind), false, 1)
		out.Name(tree.Lack{Unit: suite, File: e.Path, Reason: n.Error, Kind: fault.Kind(n.Kind)}, some)
	}
	return nil
}
