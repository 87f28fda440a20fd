package apt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// suitesFile is the engine's own part of a plan.
const suitesFile = "suites.json"

// Plan asks upstream for every suite what changed. A suite that cannot be had
// is noted and stays as it is; if that is true of all of them, the first
// failure is the error.
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
	plans, err := e.suites(ctx, t, old, w.Info())
	if err != nil {
		return "", *w.Info(), err
	}
	p := &planner{e: e, t: t, w: w, old: old, wanted: map[string]manifest.Digest{}}
	if err := p.write(plans); err != nil {
		return "", *w.Info(), err
	}
	return w.Finish()
}

// suites plans each suite by itself. Suites that left the spec lose everything.
func (e *Engine) suites(ctx context.Context, t *tree.Tree, old state, info *tree.PlanInfo) ([]*suitePlan, error) {
	keys, err := e.keyring()
	if err != nil {
		return nil, err
	}
	var plans []*suitePlan
	var first error
	for _, suite := range e.cfg.Suites {
		p, err := e.plan(ctx, t, suite, keys, old.Suites[suite])
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, fault.Fenced), errors.Is(err, fault.NoSpace):
			return nil, err
		case err != nil:
			first = errors.Join(first, err)
			info.Deferred = append(info.Deferred, note(suite, err))
		case p != nil:
			plans = append(plans, p)
		}
	}
	if first != nil && len(info.Deferred) == len(e.cfg.Suites) {
		return nil, first
	}
	for _, suite := range slices.Sorted(maps.Keys(old.Suites)) {
		if !slices.Contains(e.cfg.Suites, suite) {
			plans = append(plans, &suitePlan{Suite: suite, Emptied: []string{suite}})
		}
	}
	return plans, nil
}

func note(suite string, err error) tree.Note {
	return tree.Note{Unit: suite, Kind: string(fault.KindOf(err)), Error: err.Error()}
}

// planner turns suite plans into a fetch list and a list of drops.
type planner struct {
	e      *Engine
	t      *tree.Tree
	w      *tree.PlanWriter
	old    state
	wanted map[string]manifest.Digest // objects already on the fetch list
}

func (p *planner) write(plans []*suitePlan) error {
	info := p.w.Info()
	var kept []*suitePlan
	for _, s := range plans {
		switch err := p.want(s); {
		case errors.Is(err, fault.Conflict), errors.Is(err, fault.Hostile), errors.Is(err, fault.Malformed):
			info.Deferred = append(info.Deferred, note(s.Suite, err))
			continue
		case err != nil:
			return err
		}
		kept = append(kept, s)
		info.Emptied = append(info.Emptied, s.Emptied...)
		if s.State.Date.After(info.Upstream.Date) {
			info.Upstream.Date = s.State.Date
		}
	}
	if len(kept) == 0 {
		return nil
	}
	info.Changed = true
	for _, s := range p.old.Suites {
		info.BaseObjects -= s.ByHash
	}
	for c, err := range changes(p.t, p.old, kept) {
		if err == nil {
			err = p.count(c)
		}
		if err != nil {
			return err
		}
	}
	out, err := p.w.Create(suitesFile)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(kept)
}

// count counts packages only: indexes under their digests come and go with
// every Release, and must not look like a mass removal.
func (p *planner) count(c manifest.Change) error {
	info := p.w.Info()
	switch {
	case !c.Kind.IsIndex() && strings.Contains(c.Path, "/by-hash/"):
	case c.Kind.IsIndex():
		info.IndexChanges++
	case c.Remove:
		return p.w.Drop(c.Path)
	default:
		info.Adds++
	}
	return nil
}

// want puts what the suite newly refers to on the fetch list. Nothing is put
// there before every path of the suite is known to be free of conflicts.
func (p *planner) want(s *suitePlan) error {
	var items []tree.Item
	was, now, err := p.tables(s)
	if err != nil {
		return err
	}
	for d, err := range manifest.Diff(was, now) {
		if err != nil {
			return err
		}
		if d.New == nil || d.New.Kind.IsIndex() {
			continue
		}
		fresh, err := p.fresh(*d.New)
		if err != nil {
			return err
		}
		if fresh {
			items = append(items, tree.Item{Path: d.New.Path, Size: d.New.Size, SHA256: d.New.Digest.String(), Unit: s.Suite,
				Kept: p.t.HasIndex(d.New.Digest, d.New.Size)})
		}
	}
	for _, it := range items {
		d, _ := manifest.ParseDigest(it.SHA256)
		p.wanted[it.Path] = d
		if err := p.w.Fetch(it); err != nil {
			return err
		}
	}
	return nil
}

// fresh reports whether the tree lacks e. Other bytes under its path are a
// conflict, unless the spec says that they are replaced.
func (p *planner) fresh(e manifest.Entry) (bool, error) {
	held, ok, err := p.w.Held(e.Path)
	if err != nil {
		return false, err
	}
	if d, listed := p.wanted[e.Path]; listed {
		if d != e.Digest {
			return false, conflict(e, fmt.Sprintf("another suite names %s", d))
		}
		return false, nil
	}
	if !ok || held.Digest == e.Digest {
		return !ok, nil
	}
	if p.e.cfg.Replace {
		return true, nil
	}
	return false, conflict(e, fmt.Sprintf("the tree holds %s (%d bytes)", held.Digest, held.Size))
}

func conflict(e manifest.Entry, other string) error {
	return &fault.Error{Kind: fault.Conflict, Op: "apt: plan object", Subject: e.Path,
		Err:    fmt.Errorf("upstream names %s (%d bytes), %s", e.Digest, e.Size, other),
		Advice: `the suite keeps its generation; if upstream's new file is the right one, set on-conflict = "replace"`}
}

func (p *planner) tables(s *suitePlan) (was, now *manifest.Manifest, err error) {
	if was, err = openTable(p.t, p.old.Suites[s.Suite].Table); err == nil {
		now, err = openTable(p.t, s.State.Table)
	}
	return was, now, err
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
