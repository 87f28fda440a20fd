package workflows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	sdkpb "go.temporal.io/api/sdk/v1"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// details is what the Web UI shows of the workflow now.
func (w *world) details(t *testing.T) string {
	t.Helper()
	v, err := w.env.QueryWorkflow("__temporal_workflow_metadata")
	if err != nil {
		t.Fatal(err)
	}
	var metadata sdkpb.WorkflowMetadata
	if err := v.Get(&metadata); err != nil {
		t.Fatal(err)
	}
	return metadata.CurrentDetails
}

// watch writes down what is shown, whenever it has changed, and at the end.
func (w *world) watch(t *testing.T, hours int) *strings.Builder {
	var seen strings.Builder
	last := ""
	look := func() {
		if now := w.details(t); now != last {
			last = now
			seen.WriteString("\n" + now)
		}
	}
	for at := time.Minute; at < time.Duration(hours)*time.Hour; at += 10 * time.Minute {
		w.env.RegisterDelayedCallback(look, at)
	}
	t.Cleanup(look)
	return &seen
}

// TestDetails: what the Web UI shows reads well at every moment of a run. Each
// step takes an hour, and the page is looked at all the time.
func TestDetails(t *testing.T) {
	step := func(w *world, name string, out ...any) {
		w.env.OnActivity(name, mock.Anything, mock.Anything).Return(out...).After(time.Hour)
	}
	opened := activities.Opened{Tree: "m-1", Epoch: 7, Committed: 4, Sealed: 4}
	plan := activities.Planned{Digest: "d1", Info: tree.PlanInfo{Objects: 18, Bytes: 18e8, Shards: 9, Adds: 18, Drops: 1, BaseObjects: 10, IndexChanges: 3}}
	regions := func(w *world, n int64) {
		w.env.OnWorkflow("Serve", mock.Anything, mock.MatchedBy(func(in workflows.ServeInput) bool { return in.Regions[0].Name == "dfw" })).
			After(time.Hour).Return([]workflows.RegionResult{{Region: "dfw", Outcome: workflows.Done, Serves: n}}, nil)
		w.env.OnWorkflow("Serve", mock.Anything, mock.Anything).After(2*time.Hour).
			Return([]workflows.RegionResult{{Region: "ord", Outcome: workflows.Failed, Serves: 3, Error: "release: publish a|b: <no>"}}, nil)
		step(w, "Tend", activities.Tended{}, nil)
	}
	cases := map[string]func(*world){
		"a new generation": func(w *world) {
			step(w, "Open", activities.Opened{Tree: "m-1", Epoch: 1}, nil)
			step(w, "Plan", plan, nil)
			step(w, "Fetch", activities.Fetched{Objects: 2, Bytes: 2e8, Downloaded: 1e8}, nil)
			step(w, "Commit", activities.Committed{Number: 5, Changes: tree.Changes{Added: 18, Dropped: 1, Indexes: 3}, Deferred: []tree.Note{{Unit: "noble/main", Error: "apt: fetch: no"}}}, nil)
			step(w, "Verify", activities.Verified{Number: 5, Sealed: true}, nil)
			regions(w, 5)
		},
		"a held plan": func(w *world) {
			held := plan
			held.Info.Drops = 6
			step(w, "Open", opened, nil)
			step(w, "Plan", held, nil)
			regions(w, 4)
		},
		"nothing new": func(w *world) {
			step(w, "Open", opened, nil)
			step(w, "Plan", activities.Planned{}, nil)
			regions(w, 4)
		},
		"upstream fails": func(w *world) {
			step(w, "Open", opened, nil)
			step(w, "Plan", activities.Planned{}, refused(fault.Unproved))
			regions(w, 4)
		},
	}
	for name, setup := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			setup(w)
			in := input()
			in.Order.ReleaseWait = mirrorspec.Duration(24 * time.Hour)
			seen := w.watch(t, 12)
			w.refresh(t, in)
			golden(t, "details-"+strings.ReplaceAll(name, " ", "-"), seen.String()+"\n"+w.details(t))
		})
	}
}

// TestAbout: a mirror of many projects does not fill the page.
func TestAbout(t *testing.T) {
	m := mirrorspec.Mirror{Name: "pypi", Kind: mirrorspec.PyPI, Upstream: []string{"https://index.example.org"}, Grace: mirrorspec.Duration(24 * time.Hour), Guard: target().Mirror.Guard}
	for i := range 12 {
		m.Projects = append(m.Projects, fmt.Sprintf("oslo_%d-*", i))
	}
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "c", Every: mirrorspec.Duration(2 * time.Hour)}, Mirrors: []mirrorspec.Mirror{m, target().Mirror}, Regions: input().Regions}
	golden(t, "details-about", workflows.AboutCycle(spec)+"\n"+workflows.AboutMirror(m, spec.Regions)+"\n"+workflows.AboutMirror(target().Mirror, spec.Regions[:1]))
}

// TestDetailsOfACycle: what still runs has no outcome, and what was not begun waits.
func TestDetailsOfACycle(t *testing.T) {
	w := newWorld(t)
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "c", MirrorWait: mirrorspec.Duration(5 * time.Hour)}, Storage: mirrorspec.Storage{Name: "main"}}
	for _, name := range []string{"lost", "slow", "fine"} {
		spec.Mirrors = append(spec.Mirrors, mirrorspec.Mirror{Name: name, Kind: mirrorspec.Apt})
	}
	w.env.OnActivity("Report", mock.Anything, mock.Anything).Return(activities.Reported{}, nil).After(time.Minute)
	in := func(name string) any {
		return mock.MatchedBy(func(in workflows.MirrorInput) bool { return in.Target.Mirror.Name == name })
	}
	w.env.OnWorkflow("Mirror", mock.Anything, in("lost")).After(time.Hour).Return(workflows.MirrorResult{}, refused(fault.WrongStorage))
	w.env.OnWorkflow("Mirror", mock.Anything, in("slow")).After(20*time.Hour).Return(workflows.MirrorResult{}, nil)
	w.env.OnWorkflow("Mirror", mock.Anything, in("fine")).After(time.Hour).Return(workflows.MirrorResult{Mirror: "fine", Kind: mirrorspec.Apt, Outcome: workflows.Done, Generation: 5,
		Changes: &tree.Changes{Added: 1}, Regions: []workflows.RegionResult{{Region: "dfw", Outcome: workflows.Done, Serves: 5}, {Region: "ord", Outcome: workflows.Late}}}, nil)
	seen := w.watch(t, 6)
	w.env.ExecuteWorkflow("MirrorCycle", workflows.CycleInput{Spec: spec})
	golden(t, "details-cycle", seen.String()+"\n"+w.details(t))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".md")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs: look, then -update\n%s", file, diff)
	}
}
