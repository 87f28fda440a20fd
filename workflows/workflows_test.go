package workflows_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// world is a storage and two regions as the activities show them.
type world struct {
	env *testsuite.TestWorkflowEnvironment
}

func newWorld(t *testing.T) *world {
	var s testsuite.WorkflowTestSuite
	s.SetLogger(tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	w := &world{env: s.NewTestWorkflowEnvironment()}
	for name, f := range workflows.All() {
		w.env.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	w.env.RegisterActivity(&activities.Sync{})
	w.env.RegisterActivity(&activities.Regions{})
	t.Cleanup(func() { w.env.AssertExpectations(t) })
	return w
}

func target() activities.Target {
	return activities.Target{Storage: mirrorspec.Storage{Name: "main"}, Mirror: mirrorspec.Mirror{Name: "m", Kind: mirrorspec.Apt,
		Guard: mirrorspec.Guard{Share: 2000, Count: 100}}}
}

func input() workflows.RefreshInput {
	return workflows.RefreshInput{Target: target(), Tree: "m-1", Order: workflows.Order{ReleaseWait: mirrorspec.Duration(time.Minute)},
		Regions: []mirrorspec.Region{{Name: "dfw"}, {Name: "ord"}}}
}

// released lets both regions take and serve generation n.
func (w *world) released(n int64, changed bool) {
	w.env.OnActivity("Publish", mock.Anything, mock.Anything).Return(activities.Outcome{Serves: n, Changed: changed}, nil)
	w.env.OnActivity("Probe", mock.Anything, mock.Anything).Return(activities.Probed{Serves: n}, nil)
	w.env.OnActivity("Confirm", mock.Anything, mock.Anything).Return(nil)
	w.env.OnActivity("Reap", mock.Anything, mock.Anything).Return(activities.Reaped{}, nil)
	w.env.OnActivity("Tend", mock.Anything, mock.Anything).Return(activities.Tended{}, nil)
}

func (w *world) opened(committed, sealed int64, hold string) {
	w.env.OnActivity("Open", mock.Anything, mock.Anything).Return(activities.Opened{Tree: "m-1", Epoch: 7, Committed: committed, Sealed: sealed, Hold: hold}, nil)
}

func (w *world) refresh(t *testing.T, in workflows.RefreshInput) workflows.MirrorResult {
	t.Helper()
	w.env.ExecuteWorkflow("Refresh", in)
	var out workflows.MirrorResult
	if err := w.env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func refused(kind fault.Kind) error {
	return temporal.NewApplicationErrorWithOptions("apt: verify: no", string(kind), temporal.ApplicationErrorOptions{NonRetryable: true})
}

func summary(r workflows.MirrorResult) []any {
	out := []any{r.Outcome, r.Generation, r.FaultKind}
	for _, reg := range r.Regions {
		out = append(out, reg.Outcome, reg.Serves)
	}
	return out
}

func TestRefresh(t *testing.T) {
	planned := func(info tree.PlanInfo) activities.Planned { return activities.Planned{Digest: "d1", Info: info} }
	cases := map[string]struct {
		in    func(*workflows.RefreshInput)
		setup func(*world)
		want  []any
	}{
		"nothing new still probes and reaps": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
				w.released(4, false)
			},
			want: []any{workflows.Unchanged, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"a new generation goes all the way": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{Objects: 20, Shards: 12, Adds: 20, BaseObjects: 10}), nil)
				w.env.OnActivity("Fetch", mock.Anything, mock.Anything).Return(activities.Fetched{Objects: 2}, nil).Times(12)
				w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil)
				w.released(5, true)
			},
			want: []any{workflows.Done, int64(5), "", workflows.Done, int64(5), workflows.Done, int64(5)},
		},
		"a held plan releases what is sealed": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{Shards: 1, Drops: 6, BaseObjects: 10}), nil)
				w.released(4, false)
			},
			want: []any{workflows.Held, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"of a held plan of PyPI the rest goes on": {
			in: func(in *workflows.RefreshInput) { in.Target.Mirror.Kind = mirrorspec.PyPI },
			setup: func(w *world) {
				w.opened(4, 4, "")
				spares := mock.MatchedBy(func(in activities.PlanInput) bool { return in.Spare })
				w.env.OnActivity("Plan", mock.Anything, spares).Return(activities.Planned{Digest: "rest", Info: tree.PlanInfo{Adds: 1, BaseObjects: 10}}, nil).Once()
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{Shards: 1, Drops: 6, BaseObjects: 10}), nil).Once()
				rest := mock.MatchedBy(func(in activities.CommitInput) bool { return in.Plan == "rest" })
				w.env.OnActivity("Commit", mock.Anything, rest).Return(activities.Committed{Number: 5}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil)
				w.released(5, true)
			},
			want: []any{workflows.Held, int64(5), "", workflows.Done, int64(5), workflows.Done, int64(5)},
		},
		"an approved plan goes on": {
			in: func(in *workflows.RefreshInput) { in.Order.Approved = "d1" },
			setup: func(w *world) {
				w.opened(4, 4, "on hold, but a person approved")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{Digest: "d1", Approved: true, Info: tree.PlanInfo{Drops: 6, BaseObjects: 10}}, nil)
				w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil)
				w.released(5, true)
			},
			want: []any{workflows.Done, int64(5), "", workflows.Done, int64(5), workflows.Done, int64(5)},
		},
		"upstream that proves nothing leaves the old generation served": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, refused(fault.Unproved))
				w.released(4, false)
			},
			want: []any{workflows.Failed, int64(4), "unproved", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"a tree that does not verify is not released": {
			setup: func(w *world) {
				w.opened(5, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Problems: []string{"x is missing"}}, nil)
				w.released(4, false)
			},
			want: []any{workflows.Failed, int64(4), "corrupt", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"projects that alone do not verify are held, the rest is released": {
			setup: func(w *world) {
				w.opened(5, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.MatchedBy(func(in activities.VerifyInput) bool { return in.Number == 5 && in.Epoch == 7 })).
					Return(activities.Verified{Number: 5, Problems: []string{"simple/nova/index.html lacks it"}, Holdable: 1}, nil).Once()
				w.env.OnActivity("HoldUnits", mock.Anything, mock.MatchedBy(func(in activities.VerifyInput) bool { return in.Number == 5 && in.Epoch == 7 })).
					Return(activities.Committed{Epoch: 8, Number: 6, Deferred: []tree.Note{{Unit: "nova", Kind: "corrupt", Error: "its page"}}}, nil).Once()
				w.env.OnActivity("Verify", mock.Anything, mock.MatchedBy(func(in activities.VerifyInput) bool { return in.Number == 6 && in.Epoch == 8 })).
					Return(activities.Verified{Number: 6, Sealed: true}, nil).Once()
				w.released(6, true)
			},
			want: []any{workflows.Partial, int64(6), "", workflows.Done, int64(6), workflows.Done, int64(6)},
		},
		"where nothing can be held the sealed generation stays": {
			setup: func(w *world) {
				w.opened(5, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Problems: []string{"x"}, Holdable: 1}, nil).Once()
				w.env.OnActivity("HoldUnits", mock.Anything, mock.Anything).Return(activities.Committed{Epoch: 8}, nil).Once()
				w.released(4, false)
			},
			want: []any{workflows.Failed, int64(4), "corrupt", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"a fenced run touches nothing more": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, refused(fault.Fenced))
			},
			want: []any{workflows.Failed, int64(4), "fenced"},
		},
		"wrong storage stops everything": {
			setup: func(w *world) {
				w.env.OnActivity("Open", mock.Anything, mock.Anything).Return(activities.Opened{}, refused(fault.WrongStorage))
			},
			want: []any{workflows.Failed, int64(0), "wrong-storage"},
		},
		"a hold that comes while objects are fetched stops the commit": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{Shards: 1, Adds: 20, BaseObjects: 10}), nil)
				w.env.OnActivity("Fetch", mock.Anything, mock.Anything).Return(activities.Fetched{Objects: 2}, nil)
				w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Epoch: 8, Hold: "by hand"}, nil)
				w.released(4, false)
			},
			want: []any{workflows.OnHold, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"on hold nothing is planned": {
			setup: func(w *world) {
				w.opened(4, 4, "by hand")
				w.released(4, false)
			},
			want: []any{workflows.OnHold, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"deferred units make it partial": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{}), nil)
				w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5, Deferred: []tree.Note{{Unit: "u"}}}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil)
				w.released(5, true)
			},
			want: []any{workflows.Partial, int64(5), "", workflows.Done, int64(5), workflows.Done, int64(5)},
		},
		"what upstream goes on lacking is no news": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				info := tree.PlanInfo{Deferred: []tree.Note{{Unit: "u", Standing: true, Known: true}}}
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(info), nil)
				w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5}, nil)
				w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil)
				w.released(5, true)
			},
			want: []any{workflows.Done, int64(5), "", workflows.Done, int64(5), workflows.Done, int64(5)},
		},
		"what upstream lacks since now makes it partial": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				info := tree.PlanInfo{Deferred: []tree.Note{{Unit: "n", Standing: true}, {Unit: "u", Standing: true, Known: true}}}
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{Info: info}, nil)
				w.released(4, false)
			},
			want: []any{workflows.Partial, int64(4), "", workflows.Unchanged, int64(4), workflows.Unchanged, int64(4)},
		},
		"a dry run ends at the plan": {
			in: func(in *workflows.RefreshInput) { in.DryRun = true },
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(planned(tree.PlanInfo{Objects: 1}), nil)
			},
			want: []any{workflows.Planned, int64(4), ""},
		},
		"a dry run with nothing new touches no region": {
			in: func(in *workflows.RefreshInput) { in.DryRun = true },
			setup: func(w *world) {
				w.opened(5, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
			},
			want: []any{workflows.Unchanged, int64(4), ""},
		},
		"a region that is down fails by itself": {
			setup: func(w *world) {
				w.opened(4, 4, "")
				w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
				in := func(region string) any {
					return mock.MatchedBy(func(in activities.RegionInput) bool { return in.Region.Name == region })
				}
				w.env.OnActivity("Publish", mock.Anything, in("dfw")).Return(activities.Outcome{}, refused(fault.WrongStorage))
				w.env.OnActivity("Publish", mock.Anything, in("ord")).Return(activities.Outcome{Serves: 4, Changed: true}, nil)
				w.env.OnActivity("Probe", mock.Anything, in("ord")).Return(activities.Probed{Serves: 4}, nil)
				w.env.OnActivity("Confirm", mock.Anything, in("ord")).Return(nil)
				w.env.OnActivity("Reap", mock.Anything, in("ord")).Return(activities.Reaped{}, nil)
				w.env.OnActivity("Tend", mock.Anything, mock.Anything).Return(activities.Tended{}, nil)
			},
			want: []any{workflows.Unchanged, int64(4), "", workflows.Failed, int64(0), workflows.Done, int64(4)},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.setup(w)
			in := input()
			if c.in != nil {
				c.in(&in)
			}
			if diff := cmp.Diff(c.want, summary(w.refresh(t, in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLateRelease holds one region's publication for ten hours: the mirror
// must return after its release wait and call that region late.
func TestLateRelease(t *testing.T) {
	w := newWorld(t)
	w.opened(4, 4, "")
	w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil)
	w.env.OnWorkflow("Serve", mock.Anything, mock.MatchedBy(func(in workflows.ServeInput) bool { return in.Regions[0].Name == "dfw" })).
		After(10*time.Hour).Return([]workflows.RegionResult{{Region: "dfw", Outcome: workflows.Done, Serves: 4}}, nil)
	w.env.OnWorkflow("Serve", mock.Anything, mock.Anything).Return([]workflows.RegionResult{{Region: "ord", Outcome: workflows.Done, Serves: 4}}, nil)
	w.env.OnActivity("Tend", mock.Anything, mock.Anything).Return(activities.Tended{}, nil)
	want := []any{workflows.Unchanged, int64(4), "", workflows.Late, int64(0), workflows.Done, int64(4)}
	if diff := cmp.Diff(want, summary(w.refresh(t, input()))); diff != "" {
		t.Error(diff)
	}
}

// TestReleaseOfAVolume: every region keeps its own outcome, a front end that
// does not answer is nobody else's, and a site without a region is reported.
func TestReleaseOfAVolume(t *testing.T) {
	w := newWorld(t)
	of := func(region string) any {
		return mock.MatchedBy(func(in activities.RegionInput) bool { return in.Region.Name == region })
	}
	w.env.OnActivity("PublishGroup", mock.Anything, mock.Anything).Return([]activities.Outcome{{Region: "dfw", Serves: 4, Changed: true}, {Region: "ord", Serves: 4, Changed: true},
		{Region: "iad", Serves: 3, Kind: string(fault.Unavailable), Error: "behind"}, {Region: "192.0.2.9-a (not in the spec)", Serves: 4}}, nil)
	w.env.OnActivity("Probe", mock.Anything, of("dfw")).Return(activities.Probed{Error: "no answer"}, nil).After(time.Minute)
	w.env.OnActivity("Probe", mock.Anything, of("ord")).Return(activities.Probed{Serves: 4}, nil)
	w.env.OnActivity("Probe", mock.Anything, of("iad")).Return(activities.Probed{Serves: 3}, nil)
	w.env.OnActivity("Confirm", mock.Anything, of("ord")).Return(nil).Once()
	w.env.OnActivity("Confirm", mock.Anything, of("iad")).Return(nil).Once()
	site := func(name string) mirrorspec.Region { return mirrorspec.Region{Name: name, AFS: &mirrorspec.Site{}} }
	in := workflows.ServeInput{Target: target(), Tree: "m-1", Regions: []mirrorspec.Region{site("dfw"), site("ord"), site("iad")}}
	in.Target.AFS = &mirrorspec.AFS{Cell: "example.org"}
	w.env.ExecuteWorkflow("Serve", in)
	var got []workflows.RegionResult
	if err := w.env.GetWorkflowResult(&got); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range got {
		said = append(said, fmt.Sprint(r.Region, " ", r.Outcome, " ", r.Serves))
	}
	want := []string{"dfw failed 0", "ord done 4", "iad failed 3", "192.0.2.9-a (not in the spec) unchanged 4"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestCycleIsolatesMirrors(t *testing.T) {
	w := newWorld(t)
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "c", MirrorWait: mirrorspec.Duration(time.Hour)}, Storage: mirrorspec.Storage{Name: "main"},
		Mirrors: []mirrorspec.Mirror{{Name: "lost"}, {Name: "slow"}, {Name: "fine"}}}
	in := func(name string) any {
		return mock.MatchedBy(func(in workflows.MirrorInput) bool { return in.Target.Mirror.Name == name })
	}
	w.env.OnWorkflow("Mirror", mock.Anything, in("lost")).Return(workflows.MirrorResult{}, refused(fault.WrongStorage))
	w.env.OnWorkflow("Mirror", mock.Anything, in("slow")).After(20*time.Hour).Return(workflows.MirrorResult{}, nil)
	w.env.OnWorkflow("Mirror", mock.Anything, in("fine")).Return(workflows.MirrorResult{Mirror: "fine", Outcome: workflows.Done}, nil)
	w.env.ExecuteWorkflow("MirrorCycle", workflows.CycleInput{Spec: spec})
	var out workflows.CycleResult
	if err := w.env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	var got []workflows.Outcome
	for _, m := range out.Mirrors {
		got = append(got, m.Outcome)
	}
	want := []workflows.Outcome{workflows.Failed, workflows.Late, workflows.Done}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if out.Outcome != workflows.Failed {
		t.Errorf("the cycle is %s, want failed", out.Outcome)
	}
}

func TestGuard(t *testing.T) {
	g := mirrorspec.Guard{Share: 2000, Count: 100}
	cases := map[string]struct {
		info tree.PlanInfo
		held bool
	}{
		"nothing removed":               {tree.PlanInfo{BaseObjects: 1000}, false},
		"many, below the share":         {tree.PlanInfo{BaseObjects: 10000, Drops: 1999}, false},
		"share reached, few":            {tree.PlanInfo{BaseObjects: 300, Drops: 100}, false},
		"share and count":               {tree.PlanInfo{BaseObjects: 400, Drops: 101}, true},
		"half of a small one":           {tree.PlanInfo{BaseObjects: 4, Drops: 2}, false},
		"more than half of a small one": {tree.PlanInfo{BaseObjects: 4, Drops: 3}, true},
		"empties a suite":               {tree.PlanInfo{BaseObjects: 4000, Drops: 1, Emptied: []string{"noble/main"}}, true},
		"a serial far ahead":            {tree.PlanInfo{BaseObjects: 4000, Jumps: []string{"root page: serial 9000000000 after 36"}}, true},
		"another suite in its place":    {tree.PlanInfo{BaseObjects: 4000, Renamed: []string{"noble, which is Suite \"jammy\""}}, true},
		"its one project in quarantine": {tree.PlanInfo{BaseObjects: 400, Drops: 400, Urgent: 400, UrgentUnits: 1}, false},
		"many projects in quarantine":   {tree.PlanInfo{BaseObjects: 4000, Drops: 1900, Urgent: 1900, UrgentUnits: 900}, false},
		"nearly all in quarantine":      {tree.PlanInfo{BaseObjects: 400, Drops: 390, Urgent: 390, UrgentUnits: 90}, true},
		"quarantine, and much else":     {tree.PlanInfo{BaseObjects: 400, Drops: 300, Urgent: 100}, true},
		"first plan":                    {tree.PlanInfo{}, false},
		"more than there is":            {tree.PlanInfo{BaseObjects: -1, Drops: 1}, true},
	}
	for name, c := range cases {
		if got := activities.Guard(g, c.info); (len(got) > 0) != c.held {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestHoldingARunIsNotPromisedTooLate: who asks a run to stop that has begun to
// commit must not read that it will not.
func TestHoldingARunIsNotPromisedTooLate(t *testing.T) {
	for stage, want := range map[string]workflows.Outcome{"Fetch": workflows.OnHold, "Commit": workflows.Done} {
		t.Run(stage, func(t *testing.T) {
			w := newWorld(t)
			w.opened(4, 4, "")
			w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{Digest: "d1", Info: tree.PlanInfo{Shards: 1, Adds: 20, BaseObjects: 10}}, nil)
			slow := func(name string, out any) {
				c := w.env.OnActivity(name, mock.Anything, mock.Anything).Return(out, nil)
				if name == stage {
					c.After(time.Hour)
				}
				c.Maybe()
			}
			slow("Fetch", activities.Fetched{Objects: 2})
			slow("Commit", activities.Committed{Number: 5})
			w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil).Maybe()
			w.released(5, true)
			accepted := false
			w.env.RegisterDelayedCallback(func() {
				w.env.UpdateWorkflow("hold", "1", &testsuite.TestUpdateCallback{OnAccept: func() { accepted = true }, OnReject: func(error) {},
					OnComplete: func(any, error) {}}, "by hand")
			}, 30*time.Minute)
			if got := w.refresh(t, input()); got.Outcome != want || accepted != (want == workflows.OnHold) {
				t.Errorf("%s, accepted: %v", got.Outcome, accepted)
			}
		})
	}
}
