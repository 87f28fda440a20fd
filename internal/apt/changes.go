package apt

import (
	"fmt"
	"iter"
	"slices"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// shift is what happens to one path: what it held, and which of the planned
// suites newly name it.
type shift struct {
	path  string
	named []naming
}

// naming is one suite's word on a path.
type naming struct {
	suite string
	manifest.Change
}

// shifts yields, by path, where the planned suites differ from what they were.
// It holds one segment of each table, however large the suites are.
func shifts(t *tree.Tree, old state, plans []*suitePlan) iter.Seq2[shift, error] {
	return func(yield func(shift, error) bool) {
		heads := make([]*head, 0, len(plans))
		for _, s := range plans {
			h, err := newHead(t, old, s)
			if err != nil {
				yield(shift{}, err)
				return
			}
			defer h.stop()
			heads = append(heads, h)
		}
		for {
			next, err := smallest(heads)
			if err == nil && next.path == "" {
				return
			}
			if !yield(next, err) || err != nil {
				return
			}
		}
	}
}

// head is the first difference of a suite that has not been yielded yet.
type head struct {
	suite string
	next  func() (manifest.Change, error, bool)
	stop  func()
	cur   manifest.Change
	err   error
	more  bool
}

func newHead(t *tree.Tree, old state, s *suitePlan) (*head, error) {
	was, err := openTable(t, old.Suites[s.Suite].Table)
	if err != nil {
		return nil, err
	}
	now, err := openTable(t, s.State.Table)
	if err != nil {
		return nil, err
	}
	h := &head{suite: s.Suite}
	h.next, h.stop = iter.Pull2(manifest.Changes(manifest.Diff(was, now)))
	h.cur, h.err, h.more = h.next()
	return h, nil
}

// smallest takes the lowest path off all heads that stand at it; its path is "" at the end.
func smallest(heads []*head) (shift, error) {
	var out shift
	for _, h := range heads {
		if h.more && h.err != nil {
			return out, h.err
		}
		if h.more && (out.path == "" || h.cur.Path < out.path) {
			out.path = h.cur.Path
		}
	}
	for _, h := range heads {
		if h.more && h.cur.Path == out.path {
			out.named = append(out.named, naming{h.suite, h.cur})
			h.cur, h.err, h.more = h.next()
		}
	}
	return out, nil
}

// world is what the tree holds and what every suite will name if the plans come true.
type world struct {
	t        *tree.Tree
	was      *manifest.Manifest
	retained map[string]manifest.Entry
	final    map[string]*manifest.Manifest // by suite
}

func newWorld(t *tree.Tree, base *tree.Generation, old state, plans []*suitePlan) (*world, error) {
	w := &world{t: t, final: map[string]*manifest.Manifest{}}
	var err error
	if w.was, err = t.ManifestOf(base); err != nil {
		return nil, err
	}
	if w.retained, err = t.Retained(); err != nil {
		return nil, err
	}
	tables := map[string]string{}
	for suite, s := range old.Suites {
		tables[suite] = s.Table
	}
	for _, s := range plans {
		tables[s.Suite] = s.State.Table
	}
	for suite, table := range tables {
		if w.final[suite], err = openTable(t, table); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// held returns what lies at a path, named by the base or retained.
func (w *world) held(path string) (manifest.Entry, bool, error) {
	if e, ok, err := w.was.Lookup(path); ok || err != nil {
		return e, ok, err
	}
	e, ok := w.retained[path]
	return e, ok, nil
}

// named reports whether any suite will name path.
func (w *world) named(path string) (bool, error) {
	for _, m := range w.final {
		if _, ok, err := m.Lookup(path); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// change returns what s comes to for the mirror as a whole; ok is false where
// that is nothing: another suite names the path, or what it names is the same.
func (w *world) change(s shift) (c manifest.Change, suite string, ok bool, err error) {
	was, had, err := w.was.Lookup(s.path)
	if err != nil {
		return c, "", false, err
	}
	for _, n := range s.named {
		if !n.Remove {
			return n.Change, n.suite, !had || was != n.Entry, nil
		}
	}
	still, err := w.named(s.path)
	return s.named[0].Change, s.named[0].suite, had && !still, err
}

// conflicts returns the suites that cannot have what they name, because the
// tree holds other bytes there or another suite names others.
func (w *world) conflicts(shifts iter.Seq2[shift, error], replace bool) (map[string]error, error) {
	out := map[string]error{}
	for s, err := range shifts {
		if err != nil {
			return nil, err
		}
		held, ok, err := w.held(s.path)
		if err != nil {
			return nil, err
		}
		for _, n := range s.named {
			if n.Remove || out[n.suite] != nil {
				continue
			}
			conflict, err := w.conflict(s, n, held, ok, replace)
			if err != nil {
				return nil, err
			}
			if conflict != nil {
				out[n.suite] = conflict
				// It stays as it is, and is in nobody's way.
				s.named = slices.DeleteFunc(slices.Clone(s.named), func(o naming) bool { return o.suite == n.suite })
			}
		}
	}
	return out, nil
}

func (w *world) conflict(s shift, n naming, held manifest.Entry, holds, replace bool) (conflict, err error) {
	for _, other := range s.named {
		if other.suite == n.suite {
			break // the first of those that disagree has its way
		}
		if !other.Remove && other.Entry != n.Entry {
			return clash(n.Entry, fmt.Sprintf("suite %s names %s", other.suite, other.Digest)), nil
		}
	}
	if !holds {
		return nil, nil
	}
	if held.Kind.IsIndex() != n.Kind.IsIndex() {
		return &fault.Error{Kind: fault.Hostile, Op: "apt: plan object", Subject: n.Path,
			Err: fmt.Errorf("an index and a package would share the path"), Advice: "the suite keeps its generation; tell upstream"}, nil
	}
	if !n.Kind.IsIndex() && held.Digest == n.Digest && held.Size != n.Size {
		return &fault.Error{Kind: fault.Unproved, Op: "apt: plan object", Subject: n.Path,
			Err: fmt.Errorf("it has %d bytes, %d are declared", held.Size, n.Size), Advice: "the suite keeps its generation; tell upstream"}, nil
	}
	if n.Kind.IsIndex() || held.Digest == n.Digest {
		return nil, nil
	}
	if !replace {
		return clash(n.Entry, fmt.Sprintf("the tree holds %s (%d bytes)", held.Digest, held.Size)), nil
	}
	for suite, m := range w.final {
		if e, ok, err := m.Lookup(n.Path); err != nil {
			return nil, err
		} else if ok && e.Digest != n.Digest {
			return clash(n.Entry, fmt.Sprintf("suite %s still names %s", suite, e.Digest)), nil
		}
	}
	return nil, nil
}

func clash(e manifest.Entry, other string) error {
	return &fault.Error{Kind: fault.Conflict, Op: "apt: plan object", Subject: e.Path,
		Err:    fmt.Errorf("upstream names %s (%d bytes), %s", e.Digest, e.Size, other),
		Advice: `the suite keeps its generation; if upstream's new file is the right one, set on-conflict = "replace"`}
}
