package apt

import (
	"context"
	"maps"
	"slices"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// survey is what planning the suites, one after the other, has come to.
type survey struct {
	plans  []*suitePlan
	notes  []tree.Note
	failed int
	first  error // of the first suite that failed
}

// suites plans each suite by itself. Suites that left the spec lose everything.
func (e *Engine) suites(ctx context.Context, t *tree.Tree, old state, info *tree.PlanInfo) ([]*suitePlan, error) {
	keys, err := e.keyring()
	if err != nil {
		return nil, err
	}
	doubts, kept, err := readDoubts(t)
	if err != nil {
		return nil, err
	}
	var s survey
	for _, suite := range e.cfg.Suites {
		d := doubts[suite]
		p, err := e.plan(ctx, t, suite, keys, old.Suites[suite], &d)
		if doubts[suite] = d; d.none() {
			delete(doubts, suite)
		}
		if stop := stops(ctx, err); stop != nil {
			return nil, stop
		}
		s.add(e, suite, p, err, old.Suites[suite], keys)
	}
	info.Deferred = append(info.Deferred, s.notes...)
	for _, was := range old.Suites {
		missing, err := openTable(t, was.Missing)
		if err != nil {
			return nil, err
		}
		info.Missing += missing.Totals().Objects
	}
	if err := doubts.write(t, kept); err != nil {
		return nil, err
	}
	if s.first != nil && s.failed == len(e.cfg.Suites) {
		return nil, s.first
	}
	for _, suite := range slices.Sorted(maps.Keys(old.Suites)) {
		if !slices.Contains(e.cfg.Suites, suite) {
			s.plans = append(s.plans, &suitePlan{Suite: suite, Emptied: []string{suite}})
		}
	}
	return s.plans, nil
}

// add takes what planning a suite gave: a plan, nothing new, or why it cannot be had.
func (s *survey) add(e *Engine, suite string, p *suitePlan, err error, was suiteState, keys *debrepo.Keyring) {
	signer := was.Signer
	if p != nil {
		signer = p.State.Signer
	}
	s.notes = append(s.notes, e.expiring(suite, signer, keys)...)
	if p != nil {
		s.plans = append(s.plans, p)
		s.notes = append(s.notes, p.State.Notes...)
		return
	}
	if err != nil {
		if s.failed++; s.first == nil {
			s.first = err
		}
		s.notes = append(s.notes, note(suite, err))
	}
	s.notes = append(s.notes, known(was.Notes)...)
}

// known returns the notes of a committed Release: its cycle has told of them.
func known(notes []tree.Note) []tree.Note {
	out := slices.Clone(notes)
	for i := range out {
		out[i].Known = true
	}
	return out
}

func note(suite string, err error) tree.Note {
	return tree.Note{Unit: suite, Kind: string(fault.KindOf(err)), Error: err.Error()}
}
