package yum

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// reposFile is the engine's own part of a plan.
const reposFile = "repos.json"

// Plan asks upstream for every repository what changed. A repository that
// cannot be had is noted and stays as it is; if that is true of all of them,
// the first failure is the error.
func (e *Engine) Plan(ctx context.Context, t *tree.Tree) (string, tree.PlanInfo, error) {
	base, err := t.Committed()
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	old, err := readState(base)
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	w, err := t.NewPlan(base)
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	defer w.Discard()
	plans, err := e.plans(ctx, t, old, w.Info())
	if err != nil {
		return "", *w.Info(), err
	}
	p := &planner{e: e, t: t, w: w, base: base, old: old}
	if err := p.write(ctx, plans); err != nil {
		return "", *w.Info(), err
	}
	return w.Finish()
}

// plans plans each repository by itself. Those that left the spec lose everything.
func (e *Engine) plans(ctx context.Context, t *tree.Tree, old state, info *tree.PlanInfo) ([]*repoPlan, error) {
	var keys signers
	var err error
	if keys.keys, keys.id, err = e.keyring(); err != nil {
		return nil, err
	}
	repos := e.cfg.repos()
	var plans []*repoPlan
	var first error
	failed, wanted := 0, map[string]bool{}
	for _, r := range repos {
		wanted[r.dir] = true
		p, err := e.plan(ctx, t, r, keys, old.Repos[r.dir])
		if stop := stops(ctx, err); stop != nil {
			return nil, stop
		}
		switch {
		case err != nil:
			if first == nil {
				first = err
			}
			failed++
			info.Deferred = append(info.Deferred, note(r.dir, err))
		case p != nil:
			plans = append(plans, p)
			info.Deferred = append(info.Deferred, p.Notes...)
		default:
			info.Deferred = append(info.Deferred, known(old.Repos[r.dir].Notes)...)
		}
	}
	for _, was := range old.Repos {
		missing, err := openTable(t, was.Missing)
		if err != nil {
			return nil, err
		}
		info.Missing += missing.Totals().Objects
	}
	if first != nil && failed == len(repos) {
		return nil, first
	}
	for _, dir := range slices.Sorted(maps.Keys(old.Repos)) {
		if !wanted[dir] {
			plans = append(plans, &repoPlan{Repo: dir, Emptied: true})
		}
	}
	return plans, nil
}

func note(unit string, err error) tree.Note {
	return tree.Note{Unit: unit, Kind: string(fault.KindOf(err)), Error: err.Error()}
}

// stops returns what ends the plan of all repositories, nil if err is one repository's.
func stops(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fault.Fenced), errors.Is(err, fault.NoSpace), errors.Is(err, fault.WrongStorage), fault.KindOf(err) == "":
		return err
	}
	return nil
}

// planner turns repository plans into a fetch list and a list of drops.
type planner struct {
	e    *Engine
	t    *tree.Tree
	w    *tree.PlanWriter
	base *tree.Generation
	old  state
}

func (p *planner) write(ctx context.Context, plans []*repoPlan) error {
	w, plans, notes, err := p.e.agree(ctx, p.t, p.base, p.old, plans)
	info := p.w.Info()
	info.Deferred = append(info.Deferred, notes...)
	if err != nil || len(plans) == 0 {
		return err
	}
	info.Changed = true
	for _, s := range p.old.Repos {
		info.BaseObjects -= s.Data
	}
	next := p.old.with(plans)
	info.Upstream.Date = next.date()
	sources := map[string]source{}
	for _, s := range plans {
		if s.Jump != "" {
			info.Jumps = append(info.Jumps, s.Repo+": "+s.Jump)
		}
		if s.Emptied {
			info.Emptied = append(info.Emptied, s.Repo)
		}
		if len(s.State.Servers) > 0 {
			sources[s.Repo] = repo{dir: s.Repo}.source(s.State.Servers)
		}
	}
	for _, path := range w.paths {
		if err := p.put(w, path, sources); err != nil {
			return err
		}
	}
	out, err := p.w.Create(reposFile)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(plans)
}

// put writes what becomes of one path into the plan. Only packages are counted:
// metadata comes and goes with every repomd.xml, and must not look like a mass removal.
func (p *planner) put(w *world, path string, sources map[string]source) error {
	info := p.w.Info()
	was, had, err := w.was.Lookup(path)
	if err != nil {
		return err
	}
	named, err := w.named(path)
	data := strings.Contains("/"+path, "/repodata/")
	switch {
	case err != nil:
		return err
	case len(named) == 0 && had && !was.Kind.IsIndex() && !data:
		return p.w.Drop(path)
	case len(named) == 0:
		info.IndexChanges++
		return nil
	case named[0].Kind.IsIndex():
		info.IndexChanges++
		return nil
	case !had && !data:
		info.Adds++
	}
	held, holds, err := w.held(path)
	if err != nil {
		return err
	}
	if holds {
		// Replaced bytes are kept in the state. What is held stays, if a reaping
		// that was cut short has left it.
		size, there, err := p.t.Stat(path)
		if err != nil || there && (size == held.Size || p.e.cfg.Replace) {
			return err
		}
	}
	it, err := w.item(named)
	if err != nil {
		return err
	}
	if s, ok := sources[it.Unit]; ok {
		req := s.at(path)
		it.Upstreams, it.Source = req.Upstreams, req.Path
	}
	// Only metadata, or what replaces other bytes, can be in the state already.
	if d, err := manifest.ParseDigest(it.SHA256); err == nil {
		it.Kept = (data || p.e.cfg.Replace) && p.t.HasIndex(d, it.Size)
	}
	return p.w.Fetch(it)
}

// with returns the state after the plans.
func (s state) with(plans []*repoPlan) state {
	next := state{Repos: maps.Clone(s.Repos)}
	for _, p := range plans {
		if p.State.Table == "" {
			delete(next.Repos, p.Repo)
		} else {
			next.Repos[p.Repo] = p.State
		}
	}
	return next
}

func openTable(t *tree.Tree, id string) (*manifest.Manifest, error) {
	if id == "" {
		return t.Manifest(manifest.ID{})
	}
	d, err := manifest.ParseDigest(id)
	if err != nil {
		return nil, err
	}
	return t.Manifest(d)
}

func stamp(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
