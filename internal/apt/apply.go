package apt

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Settle makes the next generation of a fetched plan. A suite that lacks an
// object stays as it is and is noted.
func (e *Engine) Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error) {
	base, err := t.Committed()
	if err != nil {
		return tree.CommitRequest{}, nil, err
	}
	old, err := readState(base)
	if err != nil {
		return tree.CommitRequest{}, nil, err
	}
	plans, notes, err := e.whole(t, p, old)
	if err != nil {
		return tree.CommitRequest{}, notes, err
	}
	// A suite that stays may hold back another that counted on its going along.
	w, plans, more, err := e.agree(ctx, t, base, old, plans)
	notes = append(notes, more...)
	if err != nil || len(plans) == 0 {
		return tree.CommitRequest{}, notes, err
	}
	next, err := manifest.Edit(w.was, changes(w, shifts(t, old, plans)))
	if err != nil {
		return tree.CommitRequest{}, notes, err
	}
	req, err := request(old, plans)
	if err == nil {
		err = replace(t, plans)
	}
	req.Manifest = next
	return req, notes, err
}

// whole returns the planned suites of which every object is in the tree. With
// tolerance a suite does without what upstream does not have.
func (e *Engine) whole(t *tree.Tree, p *tree.Plan, old state) ([]*suitePlan, []tree.Note, error) {
	plans, err := readPlans(p)
	if err != nil {
		return nil, nil, err
	}
	var notes []tree.Note
	gone := map[string][]tree.Result{} // by suite
	for r, err := range failures(p) {
		if err != nil {
			return nil, nil, err
		}
		// Other suites may name the object too, which one of them asked for.
		lacking, err := namedBy(t, plans, r.Path)
		if err != nil {
			return nil, nil, err
		}
		if e.cfg.Tolerate && tolerable(r) {
			for _, suite := range lacking {
				gone[suite] = append(gone[suite], r)
			}
			continue
		}
		for _, suite := range lacking {
			notes = append(notes, tree.Note{Unit: suite, Kind: r.Kind, Error: r.Error})
		}
		plans = slices.DeleteFunc(plans, func(s *suitePlan) bool { return slices.Contains(lacking, s.Suite) })
	}
	plans, more, err := tolerate(t, plans, gone, old)
	return plans, append(notes, more...), err
}

func readPlans(p *tree.Plan) (plans []*suitePlan, err error) {
	f, err := p.Open(suitesFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = json.NewDecoder(f).Decode(&plans)
	return plans, err
}

// failures yields the objects that could not be had.
func failures(p *tree.Plan) iter.Seq2[tree.Result, error] {
	return func(yield func(tree.Result, error) bool) {
		for shard := range p.Info.Shards {
			for r, err := range p.Results(shard) {
				if err == nil && r.Error == "" {
					continue
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// namedBy returns those of the planned suites that name path.
func namedBy(t *tree.Tree, plans []*suitePlan, path string) (suites []string, err error) {
	for _, s := range plans {
		table, err := openTable(t, s.State.Table)
		if err != nil {
			return nil, err
		}
		if _, named, err := table.Lookup(path); err != nil {
			return nil, err
		} else if named {
			suites = append(suites, s.Suite)
		}
	}
	return suites, nil
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
	req := tree.CommitRequest{Aux: map[string]manifest.ID{}, Upstream: tree.Upstream{Suites: map[string]time.Time{}}}
	for suite, s := range next.Suites {
		id, err := manifest.ParseDigest(s.Table)
		if err != nil {
			return req, err
		}
		req.Aux["suite "+suite] = id
		if s.Missing != "" {
			if req.Aux[debrepo.MissingTable(suite)], err = manifest.ParseDigest(s.Missing); err != nil {
				return req, err
			}
		}
		req.Upstream.Suites[suite] = s.Date
		if s.Date.After(req.Upstream.Date) {
			req.Upstream.Date = s.Date
		}
	}
	data, err := json.Marshal(next)
	req.Engine = data
	return req, err
}

// replace puts the kept content of replaced objects into place, as late as can be.
func replace(t *tree.Tree, plans []*suitePlan) error {
	for _, s := range plans {
		for _, e := range s.Replaced {
			if err := t.LandIndex(e.Digest, e.Path); err != nil {
				return fmt.Errorf("apt: replace %s: %w", e.Path, err)
			}
		}
	}
	return nil
}

// changes yields, by path, what the plans change in the whole mirror: all that
// a suite newly names, and what it lets go of and no other suite names.
func changes(w *world, shifts iter.Seq2[shift, error]) iter.Seq2[manifest.Change, error] {
	return func(yield func(manifest.Change, error) bool) {
		for s, err := range shifts {
			var c manifest.Change
			ok := false
			if err == nil {
				c, _, ok, err = w.change(s)
			}
			if (ok || err != nil) && (!yield(c, err) || err != nil) {
				return
			}
		}
	}
}
