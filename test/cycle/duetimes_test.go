package cycle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// counts is what schedule list says of the cycles that came about, and of those that did not.
type counts struct {
	Cycles  int  `json:"cycles"`
	LeftOut int  `json:"left_out"`
	Paused  bool `json:"paused"`
	Runs    []string
}

func listed(t *testing.T, h *lab.House) counts {
	t.Helper()
	var out struct {
		Schedules []struct {
			ID string
			counts
		}
	}
	text := said(t, h, 0, "schedule", "list", "--json")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range out.Schedules {
		if s.ID == h.CycleID() {
			return s.counts
		}
	}
	t.Fatalf("%s is not in %s", h.CycleID(), text)
	return counts{}
}

func described(t *testing.T, h client.ScheduleHandle) client.ScheduleInfo {
	t.Helper()
	d, err := h.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d.Info
}

// pendulum is a schedule with the times of another one. Nobody runs its only
// workflow, so that every later due time is counted as one left out: three more
// of those, and times have passed that were due for the other one, too.
func pendulum(t *testing.T, h *lab.House, every time.Duration) (pass func()) {
	t.Helper()
	s, err := h.Client.ScheduleClient().Create(t.Context(), client.ScheduleOptions{ID: "pendulum-" + h.CycleID(),
		Spec:   client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
		Action: &client.ScheduleWorkflowAction{ID: "pendulum-" + h.CycleID(), Workflow: "Nobody", TaskQueue: "nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Delete(context.Background()) })
	return func() {
		t.Helper()
		from := described(t, s).NumActionsSkippedOverlap
		lab.Await(t, "three due times", func() bool { return described(t, s).NumActionsSkippedOverlap >= from+3 })
	}
}

// TestDueTimes: what is due while a cycle runs is left out and counted, what is
// due while the schedule is paused does not begin, then or later, and what is
// due after it was resumed does.
func TestDueTimes(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), Every: "1s"})
	dueTimesPass := pendulum(t, h, time.Second)
	reached, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	u.SetGate(func(string) { once.Do(func() { close(reached) }); <-gate })
	said(t, h, 0, "schedule", "apply")
	s := h.Client.ScheduleClient().GetHandle(t.Context(), h.CycleID())
	<-reached // the first cycle hangs from now on

	lab.Await(t, "due times left out", func() bool { return described(t, s).NumActionsSkippedOverlap >= 3 })
	overlapped := listed(t, h)
	if overlapped.Cycles != 1 || overlapped.LeftOut < 3 || len(overlapped.Runs) != 1 {
		t.Fatalf("beside a cycle that runs: %+v", overlapped)
	}
	contains(t, said(t, h, 0, "schedule", "list"), "running "+overlapped.Runs[0]+"; ", " left out, one still ran")

	said(t, h, 0, "schedule", "pause")
	paused := time.Now()
	contains(t, said(t, h, 0, "schedule", "list"), "running "+overlapped.Runs[0]+", then paused: paused by starter")
	close(gate)
	if err := h.Client.GetWorkflow(t.Context(), overlapped.Runs[0], "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	dueTimesPass()
	if now := listed(t, h); now.Cycles != 1 || !now.Paused {
		t.Errorf("while the schedule is paused: %+v", now)
	}

	resumed := time.Now()
	said(t, h, 0, "schedule", "resume")
	lab.Await(t, "a cycle after resume", func() bool { return described(t, s).NumActions >= 2 })
	info := described(t, s)
	for _, a := range info.RecentActions {
		if a.ScheduleTime.After(paused) && a.ScheduleTime.Before(resumed) {
			t.Errorf("a cycle that was due at %s, between pause at %s and resume at %s, was started at %s", a.ScheduleTime, paused, resumed, a.ActualTime)
		}
	}
	last := info.RecentActions[len(info.RecentActions)-1].StartWorkflowResult
	var r workflows.CycleResult
	if err := h.Client.GetWorkflow(t.Context(), last.WorkflowID, last.FirstExecutionRunID).Get(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if ok := []workflows.Outcome{workflows.Done, workflows.Unchanged}; !slices.Contains(ok, r.Outcome) {
		t.Errorf("the cycle after resume: %s", fmt.Sprint(r.Mirrors))
	}
	said(t, h, 0, "schedule", "delete")
}
