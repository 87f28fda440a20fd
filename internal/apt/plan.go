package apt

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
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
	if err == nil {
		plans, err = e.step(t, old, plans, w.Info())
	}
	if err != nil {
		return "", *w.Info(), err
	}
	p := &planner{e: e, t: t, w: w, base: base, old: old}
	if err := p.write(ctx, plans); err != nil {
		return "", *w.Info(), err
	}
	return w.Finish()
}

// step leaves the suites that the tree does not have yet to later plans, from
// where this one is full.
func (e *Engine) step(t *tree.Tree, old state, plans []*suitePlan, info *tree.PlanInfo) ([]*suitePlan, error) {
	var out []*suitePlan
	var objects, bytes int64
	for _, s := range plans {
		if _, has := old.Suites[s.Suite]; !has {
			if e.cfg.Step.Full(objects, bytes) {
				info.Left++
				continue
			}
			table, err := openTable(t, s.State.Table)
			if err != nil {
				return nil, err
			}
			sum := table.Totals()
			objects, bytes = objects+sum.Objects, bytes+sum.ObjectBytes
		}
		out = append(out, s)
	}
	return out, nil
}

// planner turns suite plans into a fetch list and a list of drops.
type planner struct {
	e    *Engine
	t    *tree.Tree
	w    *tree.PlanWriter
	base *tree.Generation
	old  state
	kept map[string]bool // suites that proved objects by bringing them into the state
}

func (p *planner) write(ctx context.Context, plans []*suitePlan) error {
	w, plans, notes, err := p.e.agree(ctx, p.t, p.base, p.old, plans)
	info := p.w.Info()
	info.Deferred = append(info.Deferred, notes...)
	if err != nil || len(plans) == 0 {
		return err
	}
	info.Changed = true
	for _, s := range p.old.Suites {
		info.BaseObjects -= s.ByHash
	}
	for _, s := range plans {
		info.Emptied = append(info.Emptied, s.Emptied...)
		if s.Renamed != "" {
			info.Renamed = append(info.Renamed, s.Renamed)
		}
		if s.State.Date.After(info.Upstream.Date) {
			info.Upstream.Date = s.State.Date
		}
	}
	p.kept = map[string]bool{}
	for _, s := range plans {
		p.kept[s.Suite] = s.Kept
	}
	for s, err := range shifts(p.t, p.old, plans) {
		if err != nil {
			return err
		}
		c, suite, ok, err := w.change(s)
		if err == nil && ok {
			err = p.put(w, c, suite)
		}
		if err != nil {
			return err
		}
	}
	out, err := p.w.Create(suitesFile)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(plans)
}

// agree leaves out suites until the others can all be had, and notes why. What
// is to replace other bytes is fetched here, into the state.
func (e *Engine) agree(ctx context.Context, t *tree.Tree, base *tree.Generation, old state, plans []*suitePlan) (*world, []*suitePlan, []tree.Note, error) {
	var notes []tree.Note
	for {
		w, err := newWorld(t, base, old, plans)
		if err != nil {
			return nil, nil, notes, err
		}
		var failed map[string]error
		if len(plans) > 1 {
			failed, err = e.contradictions(ctx, w, shifts(t, old, plans))
		}
		if err == nil && len(failed) == 0 {
			failed, err = w.conflicts(shifts(t, old, plans), e.cfg.Replace)
		}
		if err == nil && len(failed) == 0 && e.cfg.Replace {
			failed, err = e.replacements(ctx, w, shifts(t, old, plans), plans)
		}
		if err != nil || len(failed) == 0 {
			return w, plans, notes, err
		}
		for _, suite := range slices.Sorted(maps.Keys(failed)) {
			notes = append(notes, note(suite, failed[suite]))
		}
		plans = slices.DeleteFunc(slices.Clone(plans), func(s *suitePlan) bool { return failed[s.Suite] != nil })
	}
}

// contradictions returns the suites that name what upstream does not have where
// another names otherwise: the first has its way only with what can be had.
func (e *Engine) contradictions(ctx context.Context, w *world, shifts iter.Seq2[shift, error]) (map[string]error, error) {
	failed := map[string]error{}
	for s, err := range shifts {
		if err != nil {
			return nil, err
		}
		if len(s.named) < 2 {
			continue
		}
		if _, holds, err := w.held(s.path); err != nil {
			return nil, err
		} else if holds && !e.cfg.Replace {
			continue // what is held has its way
		}
		var first *naming
		for _, n := range s.named {
			switch {
			case n.Remove || n.Kind.IsIndex() || failed[n.suite] != nil:
				continue
			case first == nil:
				first = &n
				continue
			case n.Entry == first.Entry:
				continue
			}
			err := e.keepObject(ctx, w.t, first.Entry)
			if stop := stops(ctx, err); stop != nil {
				return nil, stop
			}
			if err == nil {
				break
			}
			failed[first.suite], first = err, &n
		}
	}
	return failed, nil
}

// replacements keeps the content of every object that is to replace other bytes.
func (e *Engine) replacements(ctx context.Context, w *world, shifts func(func(shift, error) bool), plans []*suitePlan) (map[string]error, error) {
	bySuite := map[string]*suitePlan{}
	for _, s := range plans {
		bySuite[s.Suite], s.Replaced = s, nil
	}
	failed := map[string]error{}
	for s, err := range shifts {
		if err != nil {
			return nil, err
		}
		c, suite, ok, err := w.change(s)
		if err != nil {
			return nil, err
		}
		if !ok || c.Remove || c.Kind.IsIndex() {
			continue
		}
		held, holds, err := w.held(c.Path)
		if err != nil {
			return nil, err
		}
		if !holds || held.Digest == c.Digest {
			continue
		}
		err = e.keepObject(ctx, w.t, c.Entry)
		if stop := stops(ctx, err); stop != nil {
			return nil, stop
		}
		if err != nil {
			failed[suite] = err
			continue
		}
		bySuite[suite].Replaced = append(bySuite[suite].Replaced, c.Entry)
	}
	return failed, nil
}

// stops returns what ends the plan of all suites, nil if err is one suite's.
func stops(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fault.Fenced), errors.Is(err, fault.NoSpace):
		return err
	}
	return nil
}

// keepObject brings the content of an object into the state.
func (e *Engine) keepObject(ctx context.Context, t *tree.Tree, o manifest.Entry) error {
	if t.HasIndex(o.Digest, o.Size) {
		return nil
	}
	_, err := e.keepContent(ctx, t, fetch.Request{Path: o.Path, Size: o.Size, SHA256: o.Digest.String()})
	return err
}

// put writes one change into the plan. Only packages are counted: indexes under
// their digests come and go with every Release, and must not look like a mass
// removal.
func (p *planner) put(w *world, c manifest.Change, suite string) error {
	info := p.w.Info()
	byHash := strings.Contains("/"+c.Path, "/by-hash/") // a flat repository has them at the top
	switch {
	case c.Kind.IsIndex():
		info.IndexChanges++
		return nil
	case c.Remove && byHash:
		return nil
	case c.Remove:
		return p.w.Drop(c.Path)
	}
	if _, named, err := w.was.Lookup(c.Path); err != nil {
		return err
	} else if !named && !byHash {
		info.Adds++
	}
	if _, holds, err := w.held(c.Path); err != nil {
		return err
	} else if holds {
		// Replaced bytes are kept in the state. What is held stays, if a reaping
		// that was cut short has left it.
		size, there, err := p.t.Stat(c.Path)
		if err != nil || there && (size == c.Size || p.e.cfg.Replace) {
			return err
		}
	}
	// Only what is an index, too, was proved there or replaces other bytes can be in the state already.
	kept := (byHash || p.e.cfg.Replace || p.kept[suite]) && p.t.HasIndex(c.Digest, c.Size)
	return p.w.Fetch(tree.Item{Path: c.Path, Size: c.Size, SHA256: c.Digest.String(), Unit: suite, Kept: kept})
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
