package mirror

import (
	"context"
	"errors"

	"mirrorcycle/internal/tree"
)

// PlanOptions say how to plan.
type PlanOptions struct {
	Approved string // digest of a plan whose removals a person approved
	Spare    bool   // pypi: leave the projects of which files would go as they are
}

// Planned is a stored plan. Digest is empty if nothing changed.
type Planned struct {
	Digest   string        `json:"digest,omitempty"`
	Info     tree.PlanInfo `json:"info"`
	Approved bool          `json:"approved,omitempty"` // every removal is among the approved ones
}

// Plan asks upstream what changed.
func (m *Mirror) Plan(ctx context.Context, o PlanOptions) (out Planned, err error) {
	engine, err := m.engine()
	if err != nil {
		return out, err
	}
	if s, ok := engine.(sparing); ok && o.Spare {
		engine = s.spare()
	}
	step, end := m.begin(ctx, "plan")
	out.Digest, out.Info, err = engine.Plan(step, m.t)
	end(err)
	if err == nil {
		err = recognise(m.t, out.Info.Deferred)
	}
	out.Info.Deferred, out.Info.Emptied, out.Info.Renamed = Told(out.Info.Deferred), few(out.Info.Emptied), few(out.Info.Renamed)
	out.Info.Jumps = few(out.Info.Jumps)
	if err != nil || out.Digest == "" {
		return out, err
	}
	p, err := m.t.OpenPlan(out.Digest)
	if err != nil {
		return out, err
	}
	if err := m.precheck(ctx, p, 0, p.Info.Shards); err != nil {
		return out, err
	}
	if err := m.fits(ctx, planned(p)); err != nil {
		return out, err
	}
	if o.Approved != "" {
		out.Approved, err = m.t.Approves(o.Approved, p)
	}
	return out, errors.Join(err, p.Redo())
}
