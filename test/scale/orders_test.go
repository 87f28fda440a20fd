package scale_test

import (
	"context"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"

	"mirrorcycle/activities"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// one is the input of a refresh of one mirror with one region.
func (s *stage) one() workflows.RefreshInput {
	return workflows.RefreshInput{Target: activities.Target{Storage: mirrorspec.Storage{Name: s.storage}, Mirror: mirrorspec.Mirror{Name: "m", Kind: mirrorspec.Apt, Regions: []string{"dfw"}}},
		Tree: s.storage, Regions: []mirrorspec.Region{{Name: "dfw"}}}
}

// served are the steps of a region that serves whatever there is.
func (s *stage) served(stubs map[string]any) map[string]any {
	stubs["Publish"] = func(context.Context, activities.RegionInput) (activities.Outcome, error) {
		s.count("Publish")
		return activities.Outcome{Serves: 5, Changed: true}, nil
	}
	stubs["Probe"] = func(context.Context, activities.RegionInput) (activities.Probed, error) { return activities.Probed{Serves: 5}, nil }
	stubs["Confirm"] = func(context.Context, activities.RegionInput) error { return nil }
	stubs["Reap"] = func(context.Context, activities.RegionInput) (activities.Reaped, error) { return activities.Reaped{}, nil }
	return stubs
}

// TestOrderThatComesWithTheEnd: an order that reaches the workflow in the same
// task as the result of its last step is carried out all the same.
func TestOrderThatComesWithTheEnd(t *testing.T) {
	s := newStage(t)
	reached, gate := make(chan struct{}), make(chan struct{})
	s.steps(s.served(map[string]any{
		"Open": func(context.Context, activities.OpenInput) (activities.Opened, error) {
			return activities.Opened{Tree: s.storage, Epoch: 1, Committed: 4, Sealed: 4}, nil
		},
		"Plan": func(context.Context, activities.PlanInput) (activities.Planned, error) { return activities.Planned{}, nil },
		"Tend": func(context.Context, activities.TendInput) (activities.Tended, error) {
			if s.count("Tend") == 1 {
				close(reached)
				<-gate
			}
			return activities.Tended{}, nil
		},
		"Rollback": func(context.Context, activities.RollbackInput) (activities.Committed, error) {
			s.count("Rollback")
			return activities.Committed{Epoch: 2, Number: 5}, nil
		},
		"Verify": func(context.Context, activities.VerifyInput) (activities.Verified, error) {
			return activities.Verified{Number: 5, Sealed: true}, nil
		},
	}))
	s.work()
	in := s.one()
	run := s.start("Refresh", workflows.RefreshID(in.Tree), in)
	<-reached
	s.rest()
	close(gate)
	lab.Await(t, "the last step has ended", func() bool {
		_, last := s.history(run.GetID(), run.GetRunID())
		return last.EventType == enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
	})
	if err := s.client.SignalWorkflow(t.Context(), run.GetID(), "", workflows.SignalOrder, workflows.Order{Rollback: 3, ReleaseWait: mirrorspec.Duration(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	s.work()
	defer s.rest()
	var got workflows.MirrorResult
	if err := run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if s.times("Rollback") != 1 || got.Generation != 5 || len(got.Regions) != 1 || got.Regions[0].Serves != 5 {
		t.Errorf("%d rollbacks, %+v", s.times("Rollback"), got)
	}
}

// fetching is a refresh whose fetch waits for a gate, and whose tree is at generation 4.
func (s *stage) fetching(reached chan struct{}, gate <-chan struct{}) map[string]any {
	return s.served(map[string]any{
		"Identify": func(context.Context, activities.Target) (activities.Identified, error) {
			return activities.Identified{Tree: s.storage, Sealed: 4}, nil
		},
		"Open": func(context.Context, activities.OpenInput) (activities.Opened, error) {
			return activities.Opened{Tree: s.storage, Epoch: 1, Committed: 4, Sealed: 4}, nil
		},
		"Plan": func(context.Context, activities.PlanInput) (activities.Planned, error) {
			return activities.Planned{Digest: "d1", Info: tree.PlanInfo{Shards: 1, Adds: 1}}, nil
		},
		"Fetch": func(ctx context.Context, _ activities.FetchInput) (activities.Fetched, error) {
			if s.count("Fetch") == 1 {
				close(reached)
			}
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-gate:
					return activities.Fetched{Objects: 1}, nil
				case <-ctx.Done():
					return activities.Fetched{}, ctx.Err()
				case <-tick.C:
					activity.RecordHeartbeat(ctx)
				}
			}
		},
		"Commit": func(context.Context, activities.CommitInput) (activities.Committed, error) {
			s.count("Commit")
			return activities.Committed{Epoch: 2, Number: 5}, nil
		},
		"Verify": func(context.Context, activities.VerifyInput) (activities.Verified, error) {
			return activities.Verified{Number: 5, Sealed: true}, nil
		},
		"Tend": func(context.Context, activities.TendInput) (activities.Tended, error) {
			s.count("Tend")
			return activities.Tended{}, nil
		},
		"Report": func(context.Context, activities.ReportInput) (activities.Reported, error) { return activities.Reported{}, nil },
	})
}

// TestCancelledRefreshFinishes: a refresh that is cancelled in mid-fetch commits
// nothing, tends its tree and closes as cancelled.
func TestCancelledRefreshFinishes(t *testing.T) {
	s := newStage(t)
	reached := make(chan struct{})
	s.steps(s.fetching(reached, nil))
	s.work()
	defer s.rest()
	in := s.one()
	run := s.start("Refresh", workflows.RefreshID(in.Tree), in)
	<-reached
	if err := s.client.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err == nil || s.closed(run.GetID()) != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("%v, %s", err, s.closed(run.GetID()))
	}
	if s.times("Commit") != 0 || s.times("Tend") != 1 {
		t.Errorf("committed %d times, tended %d times", s.times("Commit"), s.times("Tend"))
	}
}

// TestCancelledCycleStopsNoRefresh: who cancels a cycle ends its waiting. What it
// started goes on, and what is sealed then is served without it.
func TestCancelledCycleStopsNoRefresh(t *testing.T) {
	s := newStage(t)
	reached, gate := make(chan struct{}), make(chan struct{})
	s.steps(s.fetching(reached, gate))
	s.work()
	defer s.rest()
	in := s.one()
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: s.storage, MirrorWait: mirrorspec.Duration(time.Hour), ReleaseWait: mirrorspec.Duration(time.Minute)},
		Storage: in.Target.Storage, Mirrors: []mirrorspec.Mirror{in.Target.Mirror}, Regions: in.Regions}
	run := s.start("MirrorCycle", workflows.CycleID(s.storage), workflows.CycleInput{Spec: spec})
	<-reached
	if err := s.client.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err == nil {
		t.Error("a cancelled cycle ended as any other")
	}
	pass := workflows.PassID(run.GetID(), "m")
	lab.Await(t, "the cycle and its part close as cancelled", func() bool {
		return s.closed(run.GetID()) == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED && s.closed(pass) == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	})
	close(gate)
	var got workflows.MirrorResult
	if err := s.client.GetWorkflow(t.Context(), workflows.RefreshID(in.Tree), "").Get(t.Context(), &got); err != nil || got.Outcome != workflows.Done {
		t.Fatalf("%+v, %v", got, err)
	}
	lab.Await(t, "the region gets what was sealed", func() bool { return s.times("Publish") > 0 })
}

// TestSealedIsServedBeforeTheTreeIsTended: regions get a generation as soon as
// it is sealed, within its cycle and after it.
func TestSealedIsServedBeforeTheTreeIsTended(t *testing.T) {
	s := newStage(t)
	reached, gate, tending := make(chan struct{}), make(chan struct{}), make(chan struct{})
	close(gate)
	stubs := s.fetching(reached, gate)
	stubs["Tend"] = func(context.Context, activities.TendInput) (activities.Tended, error) {
		<-tending
		return activities.Tended{}, nil
	}
	s.steps(stubs)
	s.work()
	defer s.rest()
	in := s.one()
	mirror := workflows.MirrorInput{Target: in.Target, Regions: in.Regions, Ends: time.Now().Add(time.Hour), ReleaseWait: mirrorspec.Duration(time.Minute)}
	run := s.start("Mirror", workflows.PassID(s.storage, "m"), mirror)
	lab.Await(t, "the region has the new generation while the tree is tended", func() bool { return s.times("Publish") > 0 })
	close(tending)
	var got workflows.MirrorResult
	if err := run.Get(t.Context(), &got); err != nil || got.Outcome != workflows.Done || len(got.Regions) != 1 || got.Regions[0].Outcome != workflows.Done {
		t.Errorf("%+v, %v", got, err)
	}
}
