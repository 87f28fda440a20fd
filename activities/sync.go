package activities

import (
	"context"
	"fmt"
	"os"

	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/mirror"
)

// Sync holds the activities of the role sync:<storage>: everything that touches a tree.
type Sync struct {
	// Crash is handed to every tree; tests stop the process there.
	Crash func(point string)
	// Internal is what upstreams may lead to inside: fetch.Options.Internal.
	Internal []string
	// host is shared by all activities of a worker, so that its limits hold.
	host mirror.Host
}

// of returns the target's mirror, for this run of the workflow.
func (s *Sync) of(ctx context.Context, t Target, beat *pulse) *mirror.Mirror {
	info := activity.GetInfo(ctx)
	return s.host.Of(t, mirror.Run{ID: info.WorkflowExecution.RunID, Holder: "namespace " + info.Namespace + " " + holder(ctx),
		Internal: s.Internal, Crash: s.Crash, Progress: beat.progress, Log: activity.GetLogger(ctx)})
}

// holder names the run for leases and journals.
func holder(ctx context.Context) string {
	info := activity.GetInfo(ctx)
	host, _ := os.Hostname()
	return fmt.Sprintf("workflow %s run %s host %s pid %d", info.WorkflowExecution.ID, info.WorkflowExecution.RunID, host, os.Getpid())
}

// Identify reads the identity of a mirror's tree, and what of it is sealed.
func (s *Sync) Identify(ctx context.Context, target Target) (out Identified, err error) {
	m := s.of(ctx, target, new(pulse))
	defer m.Close()
	if err = m.Read(); err == nil {
		out, err = m.Identify()
	}
	return out, translate(err)
}

// Open takes the lease, rolls an open intent forward and reads where the tree stands.
func (s *Sync) Open(ctx context.Context, in OpenInput) (Opened, error) {
	ctx, beat, stop := alive(ctx)
	defer stop()
	m := s.of(ctx, in.Target, beat)
	defer m.Close()
	out, err := m.Open(ctx, in.Regions)
	return out, translate(err)
}

// Plan asks upstream what changed.
func (s *Sync) Plan(ctx context.Context, in PlanInput) (out Planned, err error) {
	err = s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Plan(ctx, mirror.PlanOptions{Approved: in.Approved, Spare: in.Spare})
		return err
	})
	return out, err
}

// Fetch brings one shard of a plan into the tree.
func (s *Sync) Fetch(ctx context.Context, in FetchInput) (out Fetched, err error) {
	err = s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Fetch(ctx, in.Plan, in.Shard)
		return err
	})
	return out, err
}

// Commit makes a fetched plan the next generation.
func (s *Sync) Commit(ctx context.Context, in CommitInput) (out Committed, err error) {
	err = s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Commit(ctx, mirror.CommitOptions{Plan: in.Plan, Above: in.Above, Hold: in.Hold})
		return err
	})
	return out, err
}

// Rollback makes an old generation's content the next generation and puts the mirror on hold.
func (s *Sync) Rollback(ctx context.Context, in RollbackInput) (out Committed, err error) {
	err = s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Rollback(ctx, mirror.RollbackOptions{To: in.To, From: in.From, Above: in.Above})
		return err
	})
	return out, err
}

// Verify checks a generation as a stranger and, if it holds, seals it.
func (s *Sync) Verify(ctx context.Context, in VerifyInput) (out Verified, err error) {
	err = s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Verify(ctx, mirror.VerifyOptions{Full: in.Full, Deep: in.Deep, Regions: in.Regions})
		return err
	})
	return out, err
}

// HoldUnits makes a generation that does not verify once more, with the projects
// that alone are wrong in it as they were.
func (s *Sync) HoldUnits(ctx context.Context, in VerifyInput) (out Committed, err error) {
	err = s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.HoldUnits(ctx, in.Number)
		return err
	})
	return out, err
}

// Tend deletes what is due in the tree: expired generations, dropped objects, old plans.
func (s *Sync) Tend(ctx context.Context, in TendInput) (out Tended, err error) {
	err = s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, m *mirror.Mirror) error {
		now, err := clock(ctx)
		if err == nil {
			out, err = m.Tend(ctx, mirror.TendOptions{Now: now, Plan: in.Plan, Open: in.Open, Regions: in.Regions})
		}
		return err
	})
	return out, err
}

// Answer answers a question about, or carries out a command to, a mirror.
func (s *Sync) Answer(ctx context.Context, q Question) (out Answer, err error) {
	err = s.with(ctx, q.Target, 0, func(ctx context.Context, m *mirror.Mirror) (err error) {
		out, err = m.Answer(ctx, q)
		return err
	})
	return out, err
}

// step is one activity's work on a mirror.
type step func(ctx context.Context, m *mirror.Mirror) error

// with runs f on the mirror as the holder of epoch, with a heartbeat that tells
// a live run from a dead one; epoch 0 only reads.
func (s *Sync) with(ctx context.Context, t Target, epoch int64, f step) error {
	return s.on(ctx, t, func(m *mirror.Mirror) error { return m.Resume(epoch) }, f)
}

// renew does the same under the next epoch: of several attempts of an activity
// that must happen once, only the newest can still write.
func (s *Sync) renew(ctx context.Context, t Target, epoch int64, f step) error {
	return s.on(ctx, t, func(m *mirror.Mirror) error { return m.Renew(epoch) }, f)
}

func (s *Sync) on(ctx context.Context, t Target, open func(*mirror.Mirror) error, f step) error {
	ctx, beat, stop := alive(ctx)
	defer stop()
	m := s.of(ctx, t, beat)
	defer m.Close()
	if err := open(m); err != nil {
		return translate(err)
	}
	return translate(f(ctx, m))
}
