package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// HoldUnits makes a generation that does not verify once more, with the projects
// that alone are wrong in it as the sealed generation has them. All others go on.
// Nothing is committed if anything else is wrong.
func (s *Sync) HoldUnits(ctx context.Context, in VerifyInput) (Committed, error) {
	var out Committed
	err := s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, beat *pulse) error {
		out.Epoch = t.Epoch()
		g, err := t.Committed()
		if err != nil || g == nil {
			return err
		}
		plan := fmt.Sprintf("without-%d", in.Number)
		if g.Number != in.Number { // an earlier attempt came to the end
			out.Number, out.Changes, out.Deferred = g.Number, g.Changes, leftBy(t, plan)
			return nil
		}
		sealed, err := t.Sealed()
		if err != nil {
			return err
		}
		report, err := verify.Tree(ctx, t, g, verify.Options{Kind: kinds[in.Target.Mirror.Kind], Since: sealed, Progress: beat.progress})
		units := report.Holdable()
		if err != nil || len(units) == 0 || in.Target.Mirror.Kind != mirrorspec.PyPI {
			return err
		}
		req, err := pypi.New(pypiConfig(in.Target), nil).Hold(t, sealed, units)
		if err != nil {
			return err
		}
		out.Deferred = Told(heldNotes(units, report.Problems))
		if err := errors.Join(leave(t, plan, out.Deferred), fits(ctx, t, in.Target, settled(t, req))); err != nil {
			return err
		}
		req.Plan, req.Above = plan, g.Number
		next, err := t.Commit(ctx, req)
		if err != nil {
			return err
		}
		out.Number, out.Changes = next.Number, next.Changes
		countCommitted(ctx, in.Target.Mirror, next.Changes)
		return nil
	})
	return out, err
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
