package activities

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
)

// Tend deletes what is due in the tree: expired generations, dropped objects, old plans.
func (s *Sync) Tend(ctx context.Context, in TendInput) (Tended, error) {
	var out Tended
	err := s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, _ *pulse) (err error) {
		now, err := clock(ctx)
		if err != nil {
			return err
		}
		keep := time.Duration(in.Target.Storage.RollbackKeep)
		ctx, end := begin(ctx, "reap", in.Target.Mirror)
		err = tendTree(ctx, t, in, now, &out)
		end(err)
		countReaped(ctx, in.Target.Mirror, "", out.Reaped)
		if err != nil {
			return err
		}
		if err := tendWheels(in.Target); err != nil {
			return err
		}
		drops, err := t.Drops()
		out.Waiting = len(drops)
		held, heldErr := heldPlans(t, in)
		if err := errors.Join(err, heldErr); err != nil {
			return err
		}
		if err := t.TendPlans(ctx, now, max(keep, planWait), held...); err != nil {
			return err
		}
		g, err := t.Committed()
		if err != nil || g == nil {
			return err
		}
		lacks, err := lacking(t, in.Target.Mirror.Kind, 0)
		if err != nil {
			return err
		}
		out.Missing, out.Refused = lacks.Totals()
		doubted, err := suspects(in.Target)
		if err != nil {
			return err
		}
		report, err := verify.Scrub(ctx, t, g, now, doubted...)
		telemetry.Problems.Add(ctx, int64(len(report.Problems)), ofMirror(in.Target.Mirror)...)
		if err == nil && len(report.Damaged) > 0 && in.Epoch > 0 {
			if out.Mended, err = s.mend(ctx, t, in.Target, in.Regions, report.Damaged); err == nil {
				hashed := report.Hashed
				report, err = verify.Scrub(ctx, t, g, now)
				report.Hashed += hashed
			}
		}
		out.Scrubbed, out.Problems = report.Hashed, report.Problems
		return err
	})
	return out, err
}

// tendTree deletes what no generation, release or rollback needs, and what,
// where clients read the tree itself, no site's clients may ask for any more.
func tendTree(ctx context.Context, t *tree.Tree, in TendInput, now time.Time, out *Tended) (err error) {
	keep := time.Duration(in.Target.Storage.RollbackKeep)
	free, done, err := referred(ctx, t, in.Target)
	defer done()
	if err != nil {
		// Nobody knows what the other mirror names: what was dropped stays.
		out.Because = err.Error()
		free = func(int64) bool { return false }
	}
	if in.Target.AFS == nil {
		out.Reaped, out.Expired, err = t.Tend(ctx, now, keep, free)
		return err
	}
	sites := release.Sites(volume(in.Target, in.Regions, t.ID().Tree))
	due, err := sites.Due(ctx)
	if err != nil {
		// Nobody knows which sites there are: expire what only the state holds.
		because := err.Error()
		due = func(int64) (bool, string) { return false, because }
		if !errors.Is(err, fault.Unavailable) {
			return err
		}
	}
	out.Reaped, out.Expired, err = t.Tend(ctx, now, keep, func(gen int64) bool {
		ok, because := due(gen)
		if !ok && out.Because == "" {
			out.Because = because
		}
		return ok && free(gen)
	})
	if out.Reaped.Objects > 0 { // even if it was cut off after that
		err = errors.Join(err, sites.Purged())
	}
	return err
}

// maxHeld bounds the plans that are kept for a person's approval.
const maxHeld = 8

// heldPlans are the plans that a person may have read of since the mirror was
// last not held, oldest first. Each cycle plans anew, and with another base the
// same removals have another digest: whoever approves an older one means them.
func heldPlans(t *tree.Tree, in TendInput) ([]string, error) {
	const name = "held"
	data, err := t.Memo(name)
	if err != nil {
		return nil, err
	}
	var was []string
	if json.Unmarshal(data, &was) != nil {
		was = nil // it may be lost: the newest one is told again
	}
	now := slices.Clone(was)
	if in.Plan == "" && !in.Open {
		now = nil
	}
	if in.Plan != "" && !slices.Contains(now, in.Plan) {
		now = append(now, in.Plan)
	}
	now = now[max(len(now)-maxHeld, 0):]
	if slices.Equal(was, now) {
		return now, nil
	}
	if data, err = json.Marshal(now); err != nil {
		return nil, err
	}
	return now, t.SetMemo(name, data)
}
