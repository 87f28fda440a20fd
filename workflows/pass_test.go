package workflows_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// pass runs one mirror's part of a cycle that waits for two hours.
func (w *world) pass(t *testing.T) workflows.MirrorResult {
	t.Helper()
	start := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	w.env.SetStartTime(start)
	w.env.ExecuteWorkflow("Mirror", workflows.MirrorInput{Target: target(), Regions: []mirrorspec.Region{{Name: "dfw"}, {Name: "ord"}},
		Ends: start.Add(2 * time.Hour), ReleaseWait: mirrorspec.Duration(30 * time.Minute)})
	var out workflows.MirrorResult
	if err := w.env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) identified(sealed int64) {
	w.env.OnActivity("Identify", mock.Anything, mock.Anything).Return(activities.Identified{Tree: "m-1", Sealed: sealed}, nil)
}

// refreshes lets the refresh take a time and end with a generation.
func (w *world) refreshes(after time.Duration, r workflows.MirrorResult, err error) {
	w.env.OnWorkflow("Refresh", mock.Anything, mock.Anything).After(after).Return(r, err)
}

// serves counts how often each region is served, and with what wait.
func (w *world) serves(after map[string]time.Duration, n func() int64) map[string]int {
	times := map[string]int{}
	for _, name := range []string{"dfw", "ord"} {
		is := mock.MatchedBy(func(in workflows.ServeInput) bool { return in.Regions[0].Name == name })
		w.env.OnWorkflow("Serve", mock.Anything, is).After(after[name]).Return(func(workflow.Context, workflows.ServeInput) ([]workflows.RegionResult, error) {
			times[name]++
			return []workflows.RegionResult{{Region: name, Outcome: workflows.Unchanged, Serves: n()}}, nil
		}).Maybe()
	}
	return times
}

// TestMirrorServesWhateverItsRefreshDoes: releases, probes and deletions take
// place in every cycle, beside a refresh that runs, hangs, fails or is held.
func TestMirrorServesWhateverItsRefreshDoes(t *testing.T) {
	at := func(n int64) func() int64 { return func() int64 { return n } }
	done := workflows.MirrorResult{Mirror: "m", Outcome: workflows.Done, Generation: 5}
	cases := map[string]struct {
		setup func(*world) map[string]int
		want  []any
		times int // that each region is served
	}{
		"a refresh in time is served once": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(20*time.Second, done, nil)
				return w.serves(nil, at(5))
			},
			want: []any{workflows.Done, int64(5), "", workflows.Unchanged, int64(5), workflows.Unchanged, int64(5)}, times: 1,
		},
		"a slow one is not waited for, and served when it is there": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(time.Hour, done, nil)
				return w.serves(nil, at(5))
			},
			want: []any{workflows.Done, int64(5), "", workflows.Unchanged, int64(5), workflows.Unchanged, int64(5)}, times: 2,
		},
		"one that takes days is late": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(100*time.Hour, done, nil)
				return w.serves(nil, at(4))
			},
			want: []any{workflows.Late, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)}, times: 1,
		},
		"one of another cycle runs": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(0, workflows.MirrorResult{}, &temporal.ChildWorkflowExecutionAlreadyStartedError{})
				return w.serves(nil, at(4))
			},
			want: []any{workflows.Busy, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)}, times: 1,
		},
		"a refresh that could not begin stops no region": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(time.Second, workflows.MirrorResult{Mirror: "m", Outcome: workflows.Failed, FaultKind: "unavailable"}, nil)
				return w.serves(nil, at(4))
			},
			want: []any{workflows.Failed, int64(4), "unavailable", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)}, times: 1,
		},
		"a tree in doubt is not served": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(time.Second, workflows.MirrorResult{Mirror: "m", Outcome: workflows.Failed, FaultKind: "stale"}, nil)
				return w.serves(nil, at(4))
			},
			want: []any{workflows.Failed, int64(0), "stale"},
		},
		"nothing is sealed yet": {
			setup: func(w *world) map[string]int {
				w.identified(0)
				w.refreshes(100*time.Hour, done, nil)
				return w.serves(nil, at(0))
			},
			want: []any{workflows.Late, int64(0), ""},
		},
		"a region that hangs is late, and no other": {
			setup: func(w *world) map[string]int {
				w.identified(4)
				w.refreshes(20*time.Second, workflows.MirrorResult{Mirror: "m", Outcome: workflows.Unchanged, Generation: 4}, nil)
				return w.serves(map[string]time.Duration{"dfw": 100 * time.Hour}, at(4))
			},
			want: []any{workflows.Unchanged, int64(4), "", workflows.Late, int64(0), workflows.Unchanged, int64(4)}, times: -1,
		},
		"no tree at all": {
			setup: func(w *world) map[string]int {
				w.env.OnActivity("Identify", mock.Anything, mock.Anything).Return(activities.Identified{}, refused(fault.WrongStorage))
				return nil
			},
			want: []any{workflows.Failed, int64(0), "wrong-storage"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			times := c.setup(w)
			got := w.pass(t)
			if diff := cmp.Diff(c.want, summary(got)); diff != "" {
				t.Error(diff)
			}
			for region, n := range times {
				if c.times >= 0 && n != c.times {
					t.Errorf("%s was served %d times, want %d", region, n, c.times)
				}
			}
		})
	}
}
