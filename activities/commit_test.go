package activities_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"mirrorcycle/activities"
	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// plant is a mirror of the demo's Python index, driven step by step.
type plant struct {
	t      *testing.T
	sync   *activities.Sync
	env    *testsuite.TestActivityEnvironment
	target activities.Target
	opened activities.Opened
	plan   string
}

// newPlant has fetched a first plan; upstream lacks the files that contain lacking.
func newPlant(t *testing.T, lacking string) *plant {
	t.Helper()
	up, err := demo.New(demo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lacking != "" && strings.Contains(r.URL.Path, lacking) {
			http.NotFound(w, r)
			return
		}
		up.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p := openPlant(t, srv.URL+"/pypi")
	var planned activities.Planned
	p.do(p.sync.Plan, activities.PlanInput{Target: p.target, Epoch: p.opened.Epoch}, &planned)
	p.plan = planned.Digest
	for shard := range planned.Info.Shards {
		p.do(p.sync.Fetch, activities.FetchInput{Target: p.target, Epoch: p.opened.Epoch, Plan: p.plan, Shard: shard}, nil)
	}
	return p
}

// openPlant has a new tree, and its lease.
func openPlant(t *testing.T, upstream string) *plant {
	t.Helper()
	dir := t.TempDir()
	var s testsuite.WorkflowTestSuite
	p := &plant{t: t, sync: &activities.Sync{}, env: s.NewTestActivityEnvironment(), target: activities.Target{
		Storage: mirrorspec.Storage{Name: "main", Root: filepath.Join(dir, "trees"), State: filepath.Join(dir, "state")},
		Limits:  mirrorspec.Limits{Downloads: 4, PerHost: 4},
		Mirror:  mirrorspec.Mirror{Name: "pypi", Kind: mirrorspec.PyPI, Upstream: []string{upstream}, Projects: []string{"*"}}}}
	if _, err := tree.Setup(tree.Config{Dir: filepath.Join(dir, "trees/pypi"), State: filepath.Join(dir, "state/pypi")}, "pypi"); err != nil {
		t.Fatal(err)
	}
	p.env.RegisterActivity(p.sync)
	p.do(p.sync.Open, activities.OpenInput{Target: p.target}, &p.opened)
	return p
}

func (p *plant) do(activity, in, out any) {
	p.t.Helper()
	v, err := p.env.ExecuteActivity(activity, in)
	if err == nil && out != nil {
		err = v.Get(out)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) commit() (out activities.Committed) {
	p.t.Helper()
	p.do(p.sync.Commit, activities.CommitInput{Target: p.target, Epoch: p.opened.Epoch, Plan: p.plan, Hold: p.opened.Hold}, &out)
	return out
}

// TestASecondAttemptTellsWhatWasLeft: a worker that dies between the commit and
// its answer must not make a part pass for the whole.
func TestASecondAttemptTellsWhatWasLeft(t *testing.T) {
	p := newPlant(t, ".whl")
	first, second := p.commit(), p.commit()
	if first.Number != 1 || len(first.Deferred) == 0 {
		t.Fatalf("the first attempt: %+v", first)
	}
	if second.Number != 1 || len(second.Deferred) != len(first.Deferred) {
		t.Errorf("the second attempt tells of %d deferred units, the first of %d", len(second.Deferred), len(first.Deferred))
	}
}

// TestAHoldStopsARunThatGoesOn: whoever puts a mirror on hold while objects are
// fetched for days does not want what they are fetched for. What the run knew
// when it began, as one that a person approved does, stops it not.
func TestAHoldStopsARunThatGoesOn(t *testing.T) {
	p := newPlant(t, "")
	hold := func(reason string) {
		p.do(p.sync.Answer, activities.Question{Target: p.target, Verb: activities.VerbHold, Reason: reason}, nil)
	}
	hold("upstream was broken into")
	if c := p.commit(); c.Number != 0 || c.Hold != "upstream was broken into" {
		t.Errorf("on hold: %+v", c)
	}
	p.opened.Hold = "upstream was broken into"
	if c := p.commit(); c.Number != 1 || c.Hold != "" {
		t.Errorf("approved although on hold: %+v", c)
	}
	hold("too late")
	if c := p.commit(); c.Number != 1 || c.Hold != "" {
		t.Errorf("another attempt after the commit: %+v", c)
	}
}

// TestAHoldNeedsAReason: an empty one would not hold but resume.
func TestAHoldNeedsAReason(t *testing.T) {
	p := newPlant(t, "")
	p.do(p.sync.Answer, activities.Question{Target: p.target, Verb: activities.VerbHold, Reason: "by hand"}, nil)
	for _, reason := range []string{"", " \n"} {
		if _, err := p.env.ExecuteActivity(p.sync.Answer, activities.Question{Target: p.target, Verb: activities.VerbHold, Reason: reason}); err == nil {
			t.Errorf("%q is taken for a reason", reason)
		}
	}
	if c := p.commit(); c.Hold != "by hand" {
		t.Errorf("it goes on: %+v", c)
	}
}
