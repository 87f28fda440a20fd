package yum

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Settle makes the next generation of a fetched plan. A repository that lacks
// an object, or of which a package is not proved, stays as it is and is noted.
func (e *Engine) Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error) {
	var none tree.CommitRequest
	base, err := t.Committed()
	if err != nil {
		return none, nil, err
	}
	old, err := readState(base)
	if err != nil {
		return none, nil, err
	}
	plans, err := readPlans(p)
	if err != nil {
		return none, nil, err
	}
	plans, notes, err := e.whole(t, p, plans, old)
	if err != nil {
		return none, notes, err
	}
	var w *world
	for {
		// A repository that stays may hold back another that counted on its going along.
		var more []tree.Note
		w, plans, more, err = e.agree(ctx, t, base, old, plans)
		notes = append(notes, more...)
		if err != nil || len(plans) == 0 {
			return none, notes, err
		}
		lost, unproved, err := e.prove(ctx, w, plans)
		if err != nil {
			return none, notes, err
		}
		if len(unproved)+len(lost) == 0 {
			break
		}
		notes = append(notes, unproved...)
		plans, more, err = e.spare(t, without(plans, unproved), lost, old)
		notes = append(notes, more...)
		if err != nil {
			return none, notes, err
		}
	}
	found, err := digests(p, w)
	if err != nil {
		return none, notes, err
	}
	next, err := manifest.Edit(w.was, w.changes(found, plans))
	if err != nil {
		return none, notes, err
	}
	req, err := request(old.with(plans))
	if err == nil {
		err = replace(t, plans)
	}
	req.Manifest = next
	return req, notes, err
}

func without(plans []*repoPlan, notes []tree.Note) []*repoPlan {
	return slices.DeleteFunc(slices.Clone(plans), func(p *repoPlan) bool {
		return slices.ContainsFunc(notes, func(n tree.Note) bool { return n.Unit == p.Repo })
	})
}

func readPlans(p *tree.Plan) (plans []*repoPlan, err error) {
	f, err := p.Open(reposFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = json.NewDecoder(f).Decode(&plans)
	return plans, err
}

// whole returns the planned repositories of which every object is in the tree,
// but for those that may be left out.
func (e *Engine) whole(t *tree.Tree, p *tree.Plan, plans []*repoPlan, old state) ([]*repoPlan, []tree.Note, error) {
	var notes []tree.Note
	lost := map[string][]loss{}
	for r, err := range results(p) {
		if err != nil {
			return nil, nil, err
		}
		if r.Error == "" {
			continue
		}
		var lacking []tree.Note
		for _, s := range plans { // several may name the object that one of them asked for
			table, err := openTable(t, s.State.Table)
			if err != nil {
				return nil, nil, err
			}
			if _, named, err := table.Lookup(r.Path); err != nil {
				return nil, nil, err
			} else if named && e.spares(r.Path, fault.Kind(r.Kind)) {
				lost[s.Repo] = append(lost[s.Repo], loss{path: r.Path, kind: r.Kind, text: r.Error})
			} else if named {
				lacking = append(lacking, tree.Note{Unit: s.Repo, Kind: r.Kind, Error: r.Error})
			}
		}
		notes, plans = append(notes, lacking...), without(plans, lacking)
	}
	plans, more, err := e.spare(t, plans, lost, old)
	return plans, append(notes, more...), err
}

func results(p *tree.Plan) iter.Seq2[tree.Result, error] {
	return func(yield func(tree.Result, error) bool) {
		for shard := range p.Info.Shards {
			for r, err := range p.Results(shard) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// digests finds what objects turned out to be whose index tells no SHA-256 or no size.
func digests(p *tree.Plan, w *world) (map[string]manifest.Entry, error) {
	found := map[string]manifest.Entry{}
	for _, path := range w.paths {
		named, err := w.named(path)
		if err != nil {
			return nil, err
		}
		if len(named) > 0 && !named[0].Kind.IsIndex() && named[0].Note != "" {
			held, _, err := w.held(path)
			if err != nil {
				return nil, err
			}
			found[path] = held // unless it is fetched, or replaced
		}
	}
	if len(found) == 0 {
		return found, nil
	}
	for r, err := range results(p) {
		if err != nil {
			return nil, err
		}
		if _, wanted := found[r.Path]; !wanted || r.Error != "" {
			continue
		}
		d, err := manifest.ParseDigest(r.SHA256)
		if err != nil {
			return nil, err
		}
		found[r.Path] = manifest.Entry{Path: r.Path, Kind: manifest.Object, Size: r.Size, Digest: d}
	}
	return found, nil
}

// changes yields, by path, what the plans change in the whole mirror.
func (w *world) changes(found map[string]manifest.Entry, plans []*repoPlan) iter.Seq2[manifest.Change, error] {
	for _, p := range plans {
		for _, e := range p.Replaced {
			found[e.Path] = e
		}
	}
	return func(yield func(manifest.Change, error) bool) {
		for _, path := range w.paths {
			c, ok, err := w.change(path, found)
			if (ok || err != nil) && (!yield(c, err) || err != nil) {
				return
			}
		}
	}
}

func (w *world) change(path string, found map[string]manifest.Entry) (c manifest.Change, ok bool, err error) {
	was, had, err := w.was.Lookup(path)
	if err != nil {
		return c, false, err
	}
	named, err := w.named(path)
	if err != nil {
		return c, false, err
	}
	if len(named) == 0 {
		return manifest.Change{Entry: was, Remove: true}, had, nil
	}
	c.Entry = named[0].Entry
	if e, known := found[path]; known {
		if e.Path == "" {
			return c, false, malformed(path, errLost)
		}
		c.Entry = e
	}
	c.Note = ""
	return c, !had || was != c.Entry, nil
}

// request carries the state of all repositories, changed or not, into the generation.
func request(next state) (tree.CommitRequest, error) {
	req := tree.CommitRequest{Aux: map[string]manifest.ID{}, Upstream: tree.Upstream{Date: next.date()}}
	for dir, s := range next.Repos {
		id, err := manifest.ParseDigest(s.Table)
		if err != nil {
			return req, err
		}
		req.Aux["repo "+dir] = id
		if s.Missing != "" {
			if req.Aux[debrepo.MissingTable(dir)], err = manifest.ParseDigest(s.Missing); err != nil {
				return req, err
			}
		}
	}
	data, err := json.Marshal(next)
	req.Engine = data
	return req, err
}

// replace puts the kept content of replaced objects into place, as late as can be.
func replace(t *tree.Tree, plans []*repoPlan) error {
	for _, p := range plans {
		for _, e := range p.Replaced {
			if err := t.LandIndex(e.Digest, e.Path); err != nil {
				return fmt.Errorf("yum: replace %s: %w", e.Path, err)
			}
		}
	}
	return nil
}
