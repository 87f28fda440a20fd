package mirror

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
	"mirrorcycle/mirrorspec"
)

// TendOptions say what to keep.
type TendOptions struct {
	Now  time.Time // by a clock that agrees with another one
	Plan string    // held: kept with those held before it, the other plans are purged
	Open bool      // the run decided nothing on what was held before: that is kept, too
	// The AFS sites among the regions answer from the tree itself, and copies of what is damaged may come from any.
	Regions []mirrorspec.Region
}

// Tended counts what was deleted, and what was found damaged.
type Tended struct {
	Reaped  tree.Reaped `json:"reaped"`
	Expired int         `json:"expired"`           // generations
	Waiting int         `json:"waiting"`           // generations whose drops are still kept
	Because string      `json:"because,omitempty"` // what the first of them waits for, if it is an AFS site
	// Scrubbed bytes were hashed anew; Problems are files that are not what they were.
	Scrubbed int64    `json:"scrubbed,omitempty"`
	Problems []string `json:"problems,omitempty"`
	Mended   []string `json:"mended,omitempty"` // paths that were damaged and are whole again
	// What upstream lists and the committed generation has not, however long it is known.
	Missing int64 `json:"missing,omitempty"` // could not be had
	Refused int64 `json:"refused,omitempty"` // cannot be believed
}

// planWait is how long at least the objects of a unit that could not be
// committed wait for the plan that commits it.
const planWait = 24 * time.Hour

// Tend deletes what is due in the tree: expired generations, dropped objects,
// old plans. It hashes the files whose turn has come.
func (m *Mirror) Tend(ctx context.Context, o TendOptions) (out Tended, err error) {
	keep := time.Duration(m.Storage.RollbackKeep)
	if err := m.t.UseReserve(); err != nil {
		return out, err
	}
	ctx, end := m.begin(ctx, "reap")
	err = m.tendTree(ctx, o, &out)
	end(err)
	CountReaped(ctx, m.Mirror, "", out.Reaped)
	if err != nil {
		return out, err
	}
	if err := m.tendWheels(); err != nil {
		return out, err
	}
	drops, err := m.t.Drops()
	out.Waiting = len(drops)
	held, heldErr := heldPlans(m.t, o)
	if err := errors.Join(err, heldErr); err != nil {
		return out, err
	}
	if err := m.t.TendPlans(ctx, o.Now, max(keep, planWait), held...); err != nil {
		return out, err
	}
	if err := m.t.KeepReserve(); err != nil {
		return out, err
	}
	return out, m.scrub(ctx, o, &out)
}

// scrub counts what is lacking, hashes the files whose turn has come, and brings
// back what is damaged.
func (m *Mirror) scrub(ctx context.Context, o TendOptions, out *Tended) error {
	g, err := m.t.Committed()
	if err != nil || g == nil {
		return err
	}
	lacks, err := lacking(m.t, m.Mirror.Kind, 0)
	if err != nil {
		return err
	}
	out.Missing, out.Refused = lacks.Totals()
	doubted, err := m.suspects()
	if err != nil {
		return err
	}
	report, err := verify.Scrub(ctx, m.t, g, o.Now, doubted...)
	telemetry.Problems.Add(ctx, int64(len(report.Problems)), m.attributes()...)
	if err == nil && len(report.Damaged) > 0 && m.t.Epoch() > 0 {
		if out.Mended, err = m.mend(ctx, o.Regions, report.Damaged); err == nil {
			hashed := report.Hashed
			report, err = verify.Scrub(ctx, m.t, g, o.Now)
			report.Hashed += hashed
		}
	}
	out.Scrubbed, out.Problems = report.Hashed, report.Problems
	return err
}

// tendTree deletes what no generation, release or rollback needs, and what,
// where clients read the tree itself, no site's clients may ask for any more.
func (m *Mirror) tendTree(ctx context.Context, o TendOptions, out *Tended) (err error) {
	keep, t := time.Duration(m.Storage.RollbackKeep), m.t
	free, done, err := m.referred(ctx)
	defer done()
	if err != nil {
		// Nobody knows what the other mirror names: what was dropped stays.
		out.Because = err.Error()
		free = func(int64) bool { return false }
	}
	if m.AFS == nil {
		out.Reaped, out.Expired, err = t.Tend(ctx, o.Now, keep, free)
		return err
	}
	sites := release.Sites(m.Volume(o.Regions, t.ID().Tree))
	due, err := sites.Due(ctx)
	if err != nil {
		// Nobody knows which sites there are: expire what only the state holds.
		because := err.Error()
		due = func(int64) (bool, string) { return false, because }
		if !errors.Is(err, fault.Unavailable) {
			return err
		}
	}
	out.Reaped, out.Expired, err = t.Tend(ctx, o.Now, keep, func(gen int64) bool {
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

// heldMemo names the memo with their digests.
const heldMemo = "held"

// heldPlans are the plans that a person may have read of since the mirror was
// last not held, oldest first. Each cycle plans anew, and with another base the
// same removals have another digest: whoever approves an older one means them.
func heldPlans(t *tree.Tree, o TendOptions) ([]string, error) {
	data, err := t.Memo(heldMemo)
	if err != nil {
		return nil, err
	}
	var was []string
	if json.Unmarshal(data, &was) != nil {
		was = nil // it may be lost: the newest one is told again
	}
	now := slices.Clone(was)
	if o.Plan == "" && !o.Open {
		now = nil
	}
	if o.Plan != "" && !slices.Contains(now, o.Plan) {
		now = append(now, o.Plan)
	}
	now = now[max(len(now)-maxHeld, 0):]
	if slices.Equal(was, now) {
		return now, nil
	}
	if data, err = json.Marshal(now); err != nil {
		return nil, err
	}
	return now, t.SetMemo(heldMemo, data)
}
