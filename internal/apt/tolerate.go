package apt

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// What a suite may do without: one object in twenty, but at least 10 and at most
// 500. More is no odd file but an upstream in trouble.
func tolerated(objects int64) int64 { return min(max(10, objects/20), maxTolerated) }

const maxTolerated = 500

// tolerable reports whether a failed object is one that upstream does not have,
// or has with other bytes, and not one that cannot be had at the moment.
func tolerable(r tree.Result) bool {
	switch fault.Kind(r.Kind) {
	case fault.Gone, fault.Denied, fault.Unproved:
		return !strings.Contains("/"+r.Path, "/by-hash/")
	}
	return false
}

// tolerate takes what is gone out of the suites that name it, and tells of it. A
// suite that would then be what it is already is left out of the plans.
func tolerate(t *tree.Tree, plans []*suitePlan, gone map[string][]tree.Result, old state) (out []*suitePlan, notes []tree.Note, err error) {
	for _, s := range plans {
		missing := gone[s.Suite]
		if len(missing) == 0 {
			out = append(out, s)
			continue
		}
		table, err := openTable(t, s.State.Table)
		if err != nil {
			return nil, nil, err
		}
		if most := tolerated(table.Totals().Objects); int64(len(missing)) > most {
			r := missing[0]
			notes = append(notes, tree.Note{Unit: s.Suite, Kind: r.Kind,
				Error: fmt.Sprintf("apt: settle suite %s: %d objects cannot be had, more than the %d that are tolerated; the first: %s", s.Suite, len(missing), most, r.Error)})
			continue
		}
		if err := s.without(t, table, missing); err != nil {
			return nil, nil, err
		}
		was := old.Suites[s.Suite]
		more := newNotes(s.Suite, missing, was.Notes)
		s.State.Notes = append(s.State.Notes, more...)
		notes = append(notes, more...)
		if s.State.Table == was.Table && s.State.Digest == was.Digest && s.State.Config == was.Config {
			continue
		}
		out = append(out, s)
	}
	return out, notes, nil
}

// newNotes tells of missing objects; what the last generation told already is known.
func newNotes(suite string, missing []tree.Result, told []tree.Note) (out []tree.Note) {
	for _, r := range missing {
		n := tree.Note{Unit: suite, Kind: r.Kind, Error: r.Path + leftOut + r.Error, Standing: true}
		n.Known = slices.ContainsFunc(told, func(o tree.Note) bool { return o.Error == n.Error })
		out = append(out, n)
	}
	return out
}

// without takes objects out of the suite's table and keeps them in its table of
// what is missing, where later cycles look for them again.
func (s *suitePlan) without(t *tree.Tree, table *manifest.Manifest, gone []tree.Result) error {
	was, err := openTable(t, s.State.Missing)
	if err != nil {
		return err
	}
	var lost []manifest.Entry
	for _, r := range gone {
		e, ok, err := table.Lookup(r.Path)
		if err != nil {
			return err
		}
		if ok {
			lost = append(lost, e)
		}
	}
	slices.SortFunc(lost, manifest.Compare)
	lost = slices.Compact(lost)
	rest, err := manifest.Edit(table, changesTo(lost, true))
	if err != nil {
		return err
	}
	missing, err := manifest.Edit(was, changesTo(lost, false))
	if err != nil {
		return err
	}
	s.State.Table, s.State.Missing = rest.ID().String(), missing.ID().String()
	return nil
}

func changesTo(entries []manifest.Entry, remove bool) iter.Seq2[manifest.Change, error] {
	return func(yield func(manifest.Change, error) bool) {
		for _, e := range entries {
			if !yield(manifest.Change{Entry: e, Remove: remove}, nil) {
				return
			}
		}
	}
}

// lookAgain plans a suite whose Release stands still for what was missing of it.
func (e *Engine) lookAgain(ctx context.Context, t *tree.Tree, suite string, old suiteState) (*suitePlan, error) {
	table, err := openTable(t, old.Table)
	if err != nil {
		return nil, err
	}
	missing, err := openTable(t, old.Missing)
	if err != nil {
		return nil, err
	}
	b := &builder{e: e, ctx: ctx, t: t, suite: suite, was: table}
	again, other, err := b.askable(missing)
	if err != nil || len(again) == 0 {
		return nil, err
	}
	whole, err := manifest.Edit(table, changesTo(again, false))
	if err != nil {
		return nil, err
	}
	p := &suitePlan{Suite: suite, State: old, Kept: b.fetched}
	p.State.Table, p.State.Missing = whole.ID().String(), ""
	p.State.Notes = slices.DeleteFunc(slices.Clone(old.Notes), func(n tree.Note) bool {
		return slices.ContainsFunc(again, func(m manifest.Entry) bool { return strings.HasPrefix(n.Error, m.Path+leftOut) })
	})
	p.State.Notes = known(p.State.Notes)
	if len(other) > 0 {
		rest, err := manifest.Write(t, each(other))
		if err != nil {
			return nil, err
		}
		p.State.Missing = rest.ID().String()
	}
	return p, nil
}

// askable divides what is missing into what a fetch may bring and what stays
// missing: a path that the suite names with the digest that upstream serves,
// and what only its SHA-512 proves and is still not to be had.
func (b *builder) askable(missing *manifest.Manifest) (again, other []manifest.Entry, err error) {
	for m, err := range missing.All() {
		if err != nil {
			return nil, nil, err
		}
		_, named, err := b.was.Lookup(m.Path)
		if err != nil {
			return nil, nil, err
		}
		sum512, alone := strings.CutPrefix(m.Note, bySHA512)
		if !alone && !named {
			again = append(again, m)
			continue
		}
		if !named {
			have := manifest.Entry{Path: m.Path, Kind: m.Kind, Size: m.Size}
			have.Digest, err = b.prove(have, sum512)
			if stop := stops(b.ctx, err); stop != nil {
				return nil, nil, stop
			}
			if err == nil {
				again = append(again, have)
				continue
			}
		}
		other = append(other, m)
	}
	return again, other, nil
}
