package mirror

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
)

// HoldUnits makes generation number, which does not verify, once more, with the
// projects that alone are wrong in it as the sealed generation has them. All
// others go on. Nothing is committed if anything else is wrong. The mirror was
// opened by Renew.
func (m *Mirror) HoldUnits(ctx context.Context, number int64) (out Committed, err error) {
	out.Epoch = m.t.Epoch()
	g, err := m.t.Committed()
	if err != nil || g == nil {
		return out, err
	}
	plan := fmt.Sprintf("without-%d", number)
	if g.Number != number { // an earlier attempt came to the end
		out.Number, out.Changes, out.Deferred = g.Number, g.Changes, leftBy(m.t, plan)
		return out, nil
	}
	sealed, err := m.t.Sealed()
	if err != nil {
		return out, err
	}
	hold := kinds[m.Mirror.Kind].Hold
	how := m.verifying(VerifyOptions{})
	how.Since = sealed
	report, err := verify.Tree(ctx, m.t, g, how)
	units := report.Holdable()
	if err != nil || len(units) == 0 || hold == nil {
		return out, err
	}
	req, err := hold(m.Target, m.t, sealed, units)
	if err != nil {
		return out, err
	}
	out.Deferred = Told(heldNotes(units, report.Problems))
	if err := errors.Join(leave(m.t, plan, out.Deferred), m.fits(ctx, settled(m.t, req))); err != nil {
		return out, err
	}
	req.Plan, req.Above = plan, g.Number
	next, err := m.t.Commit(ctx, req)
	if err != nil {
		return out, err
	}
	out.Number, out.Changes = next.Number, next.Changes
	m.countCommitted(ctx, next.Changes)
	return out, nil
}

// heldNotes tells of each project that is held, with what is wrong with it where
// the report says so.
func heldNotes(units, problems []string) (notes []tree.Note) {
	for _, unit := range units {
		why := "it does not verify"
		for _, p := range problems {
			if strings.HasPrefix(p, "simple/"+unit+"/") {
				why = p
				break
			}
		}
		err := &fault.Error{Kind: fault.Corrupt, Op: "verify: page of", Subject: unit, Err: errors.New(why),
			Advice: "the project keeps its page, all others go on; report this if the disk is sound"}
		notes = append(notes, tree.Note{Unit: unit, Kind: string(err.Kind), Error: err.Error()})
	}
	return notes
}
