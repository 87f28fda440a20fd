package mirror

import (
	"context"
	"errors"

	"mirrorcycle/internal/tree"
)

// CommitOptions say which plan becomes a generation.
type CommitOptions struct {
	Plan  string
	Above int64  // the number must be above this
	Hold  string // why the mirror was on hold when the run began; any other reason stops it
}

// Committed is the new generation, with the units that stayed as they were.
type Committed struct {
	Epoch    int64        `json:"epoch"` // of the lease from now on
	Number   int64        `json:"number"`
	Changes  tree.Changes `json:"changes"`
	Deferred []tree.Note  `json:"deferred,omitempty"`
	Hold     string       `json:"hold,omitempty"` // why nothing was committed: a person stopped it meanwhile
}

// Commit makes a fetched plan the next generation. The mirror was opened by Renew.
func (m *Mirror) Commit(ctx context.Context, o CommitOptions) (out Committed, err error) {
	out.Epoch = m.t.Epoch()
	if g, err := m.t.Committed(); err != nil || (g != nil && g.Plan == o.Plan) {
		if g != nil { // an earlier attempt at this very commit came to the end
			out.Number, out.Changes, out.Deferred = g.Number, g.Changes, leftBy(m.t, o.Plan)
		}
		return out, err
	}
	req, notes, err := m.settle(ctx, o.Plan)
	out.Deferred = Told(notes)
	if err != nil || req.Manifest == nil {
		return out, err
	}
	if err := errors.Join(m.fits(ctx, settled(m.t, req)), leave(m.t, o.Plan, out.Deferred)); err != nil {
		return out, err
	}
	if hold, err := m.t.Hold(); err != nil || hold != "" && hold != o.Hold {
		out.Hold = hold
		return out, err
	}
	req.Plan, req.Above = o.Plan, o.Above
	ctx, end := m.begin(ctx, "commit")
	g, err := m.t.Commit(ctx, req)
	end(err)
	if err != nil {
		return out, err
	}
	out.Number, out.Changes = g.Number, g.Changes
	m.countCommitted(ctx, g.Changes)
	if len(notes) == 0 {
		return out, m.t.ForgetPlan(o.Plan)
	}
	return out, nil
}

// settle has the engine turn a fetched plan into the request for a commit.
func (m *Mirror) settle(ctx context.Context, plan string) (req tree.CommitRequest, notes []tree.Note, err error) {
	engine, err := m.engine()
	if err != nil {
		return req, nil, err
	}
	p, err := m.t.OpenPlan(plan)
	if err != nil {
		return req, nil, err
	}
	ctx, end := m.begin(ctx, "settle")
	defer func() { end(err) }()
	return engine.Settle(ctx, m.t, p)
}

// RollbackOptions say which generation's content is the next one's.
type RollbackOptions struct {
	To    int64
	From  int64 // the committed generation
	Above int64 // the number must be above this
}

// Rollback makes an old generation's content the next generation and puts the
// mirror on hold. The mirror was opened by Renew.
func (m *Mirror) Rollback(ctx context.Context, o RollbackOptions) (out Committed, err error) {
	out.Epoch = m.t.Epoch()
	if g, err := m.t.Committed(); err == nil && g != nil && g.Number > o.From {
		out.Number, out.Changes = g.Number, g.Changes // an earlier attempt came this far
		return out, nil
	}
	g, err := m.t.Rollback(ctx, o.To, o.Above)
	if err != nil {
		return out, err
	}
	out.Number, out.Changes = g.Number, g.Changes
	return out, nil
}
