package tree

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// Stored is a stored plan and when it was made, or made again.
type Stored struct {
	*Plan
	Made time.Time
}

// Approval is the digest by which a person approves the plan: of its removals,
// or of all of it where an earlier version stored it.
func (p *Plan) Approval() string { return cmp.Or(p.Info.Removals, p.Digest) }

// Means reports whether digest, or the beginning of it, names the plan or its removals.
func (p *Plan) Means(digest string) bool {
	return strings.HasPrefix(p.Info.Removals, digest) || strings.HasPrefix(p.Digest, digest)
}

// Plans returns the stored plans, the newest first. What cannot be read is left out.
func (t *Tree) Plans() ([]Stored, error) {
	entries, err := os.ReadDir(t.statePath("plan"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tree: list plans: %w", err)
	}
	var out []Stored
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		if p, err := t.OpenPlan(e.Name()); err == nil {
			out = append(out, Stored{p, st.ModTime()})
		}
	}
	slices.SortFunc(out, func(a, b Stored) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.Digest, b.Digest)) })
	return out, nil
}

// Approves reports whether every removal of p is also one of the plan approved,
// which is named by its digest or by that of its removals, and whether p jumps
// ahead only where that plan did.
func (t *Tree) Approves(approved string, p *Plan) (bool, error) {
	if approved == p.Info.Removals {
		return true, nil // the digest says it all, and the plan that was shown need not be there any more
	}
	old, err := t.approved(approved)
	if err != nil {
		return false, err
	}
	allowed := map[string]bool{}
	for path, err := range old.Drops() {
		if err != nil {
			return false, err
		}
		allowed[path] = true
	}
	for path, err := range p.Drops() {
		if err != nil || !allowed[path] {
			return false, err
		}
	}
	for _, unit := range p.Info.Renamed {
		if !slices.Contains(old.Info.Renamed, unit) {
			return false, nil
		}
	}
	emptied := " " + strings.Join(old.Info.Emptied, " ") + " "
	for _, unit := range p.Info.Emptied {
		if !strings.Contains(emptied, " "+unit+" ") {
			return false, nil
		}
	}
	for _, jump := range p.Info.Jumps {
		if !slices.ContainsFunc(old.Info.Jumps, func(was string) bool { return jumper(was) == jumper(jump) }) {
			return false, nil
		}
	}
	return true, nil
}

// jumper is what jumps ahead: how far may be another figure in each plan.
func jumper(jump string) string {
	what, _, _ := strings.Cut(jump, ":")
	return what
}

// approved opens the plan that a person approved.
func (t *Tree) approved(digest string) (*Plan, error) {
	p, err := t.OpenPlan(digest)
	if err == nil || !errors.Is(err, fault.Gone) {
		return p, err
	}
	all, listed := t.Plans()
	if listed != nil {
		return nil, listed
	}
	for _, s := range all {
		if s.Info.Removals == digest {
			return s.Plan, nil
		}
	}
	return nil, err
}
