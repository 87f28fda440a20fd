package apt

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Settle makes the next generation of a fetched plan. A suite that lacks an
// object stays as it is and is noted.
func (e *Engine) Settle(_ context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error) {
	base, err := t.Committed()
	if err != nil {
		return tree.CommitRequest{}, nil, err
	}
	old, err := readState(base)
	if err != nil {
		return tree.CommitRequest{}, nil, err
	}
	plans, notes, err := whole(t, p)
	if err != nil || len(plans) == 0 {
		return tree.CommitRequest{}, notes, err
	}
	was, err := t.ManifestOf(base)
	if err != nil {
		return tree.CommitRequest{}, notes, err
	}
	next, err := manifest.Edit(was, changes(t, old, plans))
	if err != nil {
		return tree.CommitRequest{}, notes, err
	}
	req, err := request(old, plans)
	req.Manifest = next
	return req, notes, err
}

// whole returns the planned suites of which every object is in the tree.
func whole(t *tree.Tree, p *tree.Plan) ([]*suitePlan, []tree.Note, error) {
	var plans []*suitePlan
	f, err := p.Open(suitesFile)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if err := json.NewDecoder(f).Decode(&plans); err != nil {
		return nil, nil, err
	}
	failed := map[string]string{}
	var notes []tree.Note
	for shard := range p.Info.Shards {
		for r, err := range p.Results(shard) {
			if err != nil {
				return nil, nil, err
			}
			if r.Error == "" {
				continue
			}
			// Other suites may name the object too, which one of them asked for.
			for _, s := range plans {
				if failed[s.Suite] != "" {
					continue
				}
				table, err := openTable(t, s.State.Table)
				if err != nil {
					return nil, nil, err
				}
				if _, named, err := table.Lookup(r.Path); err != nil {
					return nil, nil, err
				} else if named {
					failed[s.Suite] = r.Error
					notes = append(notes, tree.Note{Unit: s.Suite, Kind: r.Kind, Error: r.Error})
				}
			}
		}
	}
	plans = slices.DeleteFunc(plans, func(s *suitePlan) bool { return failed[s.Suite] != "" })
	return plans, notes, nil
}

// request carries the state of all suites, changed or not, into the generation.
func request(old state, plans []*suitePlan) (tree.CommitRequest, error) {
	next := state{Suites: maps.Clone(old.Suites)}
	for _, s := range plans {
		if s.State.Table == "" {
			delete(next.Suites, s.Suite)
		} else {
			next.Suites[s.Suite] = s.State
		}
	}
	req := tree.CommitRequest{Aux: map[string]manifest.ID{}}
	for suite, s := range next.Suites {
		id, err := manifest.ParseDigest(s.Table)
		if err != nil {
			return req, err
		}
		req.Aux["suite "+suite] = id
		if s.Date.After(req.Upstream.Date) {
			req.Upstream.Date = s.Date
		}
	}
	data, err := json.Marshal(next)
	req.Engine = data
	return req, err
}

// changes yields, by path, what the plans change in the whole mirror: all that
// a suite newly names, and what it lets go of and no other suite names.
func changes(t *tree.Tree, old state, plans []*suitePlan) iter.Seq2[manifest.Change, error] {
	return func(yield func(manifest.Change, error) bool) {
		byPath, err := collect(t, old, plans)
		if err != nil {
			yield(manifest.Change{}, err)
			return
		}
		for _, p := range slices.Sorted(maps.Keys(byPath)) {
			if !yield(byPath[p], nil) {
				return
			}
		}
	}
}

func collect(t *tree.Tree, old state, plans []*suitePlan) (map[string]manifest.Change, error) {
	final := map[string]string{}
	for suite, s := range old.Suites {
		final[suite] = s.Table
	}
	for _, s := range plans {
		final[s.Suite] = s.State.Table
	}
	var tables []*manifest.Manifest
	for _, suite := range slices.Sorted(maps.Keys(final)) {
		m, err := openTable(t, final[suite])
		if err != nil {
			return nil, err
		}
		tables = append(tables, m)
	}
	out := map[string]manifest.Change{}
	for _, s := range plans {
		was, err := openTable(t, old.Suites[s.Suite].Table)
		if err != nil {
			return nil, err
		}
		now, err := openTable(t, s.State.Table)
		if err != nil {
			return nil, err
		}
		for c, err := range manifest.Changes(manifest.Diff(was, now)) {
			if err != nil {
				return nil, err
			}
			if c.Remove {
				if still, err := named(tables, c.Path); err != nil {
					return nil, err
				} else if still {
					continue
				}
			}
			out[c.Path] = c
		}
	}
	return out, nil
}

func named(tables []*manifest.Manifest, path string) (bool, error) {
	for _, m := range tables {
		if _, ok, err := m.Lookup(path); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
