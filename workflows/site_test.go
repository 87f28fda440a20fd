package workflows_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/mock"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func siteSpec() mirrorspec.Spec {
	return mirrorspec.Spec{
		Cycle:   mirrorspec.Cycle{Name: "c", MirrorWait: mirrorspec.Duration(1e12)},
		Storage: mirrorspec.Storage{Name: "main"},
		Regions: []mirrorspec.Region{{Name: "dfw", Site: "/s/dfw"}, {Name: "ord", Site: "/s/ord", Pull: true}, {Name: "iad"}},
		Mirrors: []mirrorspec.Mirror{
			{Name: "a", Kind: mirrorspec.Apt, Keyring: "/k/a.gpg", Regions: []string{"dfw", "ord", "iad"}},
			{Name: "b", Kind: mirrorspec.PyPI, Regions: []string{"dfw"}},
		},
	}
}

// TestCycleWritesTheStatusPages: what the cycle found goes to the page of every
// region that has one, and a page that cannot be written stops nothing.
func TestCycleWritesTheStatusPages(t *testing.T) {
	w := newWorld(t)
	w.env.OnWorkflow("Mirror", mock.Anything, mock.Anything).Return(workflows.MirrorResult{Mirror: "a", Kind: mirrorspec.Apt, Outcome: workflows.Held,
		Plan: "9f", Reasons: []string{"too much"}, Deferred: []tree.Note{{Unit: "u", Kind: "gone", Error: "no"}},
		Regions: []workflows.RegionResult{{Region: "dfw", Outcome: workflows.Done, Serves: 7}, {Region: "iad", Outcome: workflows.Failed, FaultKind: "no-space", Error: "full"}}}, nil)
	var asked activities.SurveyInput
	w.env.OnActivity("Survey", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SurveyInput) (activities.Surveyed, error) {
		asked = in
		return activities.Surveyed{Status: in.Status, Keyrings: map[string][]byte{"a": []byte("key")}}, nil
	})
	var mu sync.Mutex // pages are written at the same time
	written := map[string]activities.SiteInput{}
	w.env.OnActivity("WriteSite", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SiteInput) (activities.SiteWritten, error) {
		mu.Lock()
		written[in.Region.Name] = in
		mu.Unlock()
		if in.Region.Name == "ord" {
			return activities.SiteWritten{}, refused(fault.WrongStorage)
		}
		return activities.SiteWritten{Written: true}, nil
	})
	w.env.ExecuteWorkflow("MirrorCycle", workflows.CycleInput{Spec: siteSpec(), Only: []string{"a"}})
	var out workflows.CycleResult
	if err := w.env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	want := []workflows.SiteResult{{Region: "dfw", Written: true}, {Region: "ord", FaultKind: string(fault.WrongStorage), Error: "apt: verify: no"}}
	if diff := cmp.Diff(want, out.Sites); diff != "" || out.Outcome != workflows.Failed {
		t.Errorf("outcome %s\n%s", out.Outcome, diff)
	}
	mirrors := []site.Mirror{
		{Name: "a", Kind: mirrorspec.Apt, Outcome: "held", Plan: "9f", Reasons: []string{"too much"}, Deferred: []site.Note{{Unit: "u", Error: "no"}},
			Regions: []site.Served{{Region: "dfw", Outcome: "done", Serves: 7}, {Region: "ord"}, {Region: "iad", Outcome: "failed", FaultKind: "no-space", Error: "full"}}},
		{Name: "b", Kind: mirrorspec.PyPI, Regions: []site.Served{{Region: "dfw"}}},
	}
	if diff := cmp.Diff(mirrors, asked.Status.Mirrors, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the trees were asked with\n%s", diff)
	}
	if len(asked.Targets) != 2 || len(asked.Remote) != 1 || asked.Remote[0] != "a" {
		t.Errorf("%d targets, keyrings of %v", len(asked.Targets), asked.Remote)
	}
	if in := written["dfw"]; len(in.Mirrors) != 2 || in.Keyrings != nil || len(in.Status.Cycles) != 1 {
		t.Errorf("dfw got %+v", in)
	}
	if in := written["ord"]; len(in.Mirrors) != 1 || len(in.Keyrings) != 1 {
		t.Errorf("ord got %+v", in)
	}
}

func TestDryRunsWriteNoPage(t *testing.T) {
	w := newWorld(t)
	w.env.OnWorkflow("Mirror", mock.Anything, mock.Anything).Return(workflows.MirrorResult{Outcome: workflows.Planned}, nil)
	w.env.ExecuteWorkflow("MirrorCycle", workflows.CycleInput{Spec: siteSpec(), DryRun: true})
	var out workflows.CycleResult
	if err := w.env.GetWorkflowResult(&out); err != nil || out.Sites != nil {
		t.Errorf("%v %v", out.Sites, err)
	}
}
