package workflows_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// wheelBench is a platform of which the activities know what is left to build.
type wheelBench struct {
	*world
	mu            sync.Mutex // activities run side by side
	left, waiting int
}

func newWheelBench(t *testing.T, left int) *wheelBench {
	b := &wheelBench{world: newWorld(t), left: left}
	b.env.RegisterActivity(&activities.Wheels{})
	b.env.OnActivity("WheelPlan", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.WheelPlanInput) (activities.WheelPlanned, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if in.Alone && b.waiting > 0 {
			b.left, b.waiting = b.waiting, 0
		}
		return activities.WheelPlanned{Digest: "d", Builds: b.left, Waiting: b.waiting}, nil
	}).Maybe()
	return b
}

func (b *wheelBench) described() {
	b.env.OnActivity("Describe", mock.Anything, mock.Anything).Return(activities.Facts{Python: "3.11"}, nil)
}

// ingested lets every delivery become a state, and the plan shrink.
func (b *wheelBench) ingested() {
	b.env.OnActivity("Ingest", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.IngestInput) (activities.Ingested, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.left--
		return activities.Ingested{Class: in.Delivered.Class, Known: in.Delivered.Class == "as before"}, nil
	}).Maybe()
}

func wheelsInput() workflows.WheelsInput {
	t := target()
	t.Mirror.Kind, t.Mirror.Index, t.Mirror.Builds, t.Mirror.BuildTimeout = mirrorspec.Wheels, "pypi", 3, mirrorspec.Duration(time.Minute)
	return workflows.WheelsInput{Target: t, Tree: "m-1", Platform: mirrorspec.Platform{Name: "d12", Python: "3.11"}}
}

func (b *wheelBench) run(t *testing.T) workflows.WheelsResult {
	t.Helper()
	b.env.ExecuteWorkflow("Wheels", wheelsInput())
	var out workflows.WheelsResult
	if err := b.env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func wellBuilt(_ context.Context, in activities.BuildInput) (activities.Delivered, error) {
	return activities.Delivered{Attempt: in.Attempt + "-1"}, nil
}

// TestDeliveriesOfAnotherAttempt: what a builder calls its attempt is the name
// of a directory that a sync worker opens and removes.
func TestDeliveriesOfAnotherAttempt(t *testing.T) {
	attempts := []string{"..", ".", "", "a/b", "%s", "%s-", "%s-1/../..", "%s-1x", "%s--1", "x%s-1"}
	b := newWheelBench(t, len(attempts))
	b.described()
	b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.BuildInput) (activities.Delivered, error) {
		return activities.Delivered{Attempt: strings.Replace(attempts[in.Job], "%s", in.Attempt, 1), File: "a-1-py3-none-any.whl"}, nil
	})
	b.env.OnActivity("Ingest", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.IngestInput) (activities.Ingested, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.left--
		if d := in.Delivered; d.Class != "hostile" || d.File != "" || strings.ContainsAny(d.Attempt, "./") {
			t.Errorf("attempt %q is taken in: %+v", attempts[in.Job], d)
		}
		return activities.Ingested{Class: in.Delivered.Class}, nil
	})
	if got := b.run(t); got.Failed != len(attempts) {
		t.Errorf("%+v", got)
	}
}

func TestWheels(t *testing.T) {
	delivered := func(class string) func(context.Context, activities.BuildInput) (activities.Delivered, error) {
		return func(_ context.Context, in activities.BuildInput) (activities.Delivered, error) {
			return activities.Delivered{Attempt: in.Attempt + "-1", Class: class}, nil
		}
	}
	cases := map[string]struct {
		left  int
		setup func(*wheelBench)
		want  workflows.WheelsResult
	}{
		"nothing to build": {setup: func(b *wheelBench) { b.described() }, want: workflows.WheelsResult{Outcome: workflows.Unchanged}},
		"all that is due": {left: 7, setup: func(b *wheelBench) {
			b.described()
			b.ingested()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(delivered("")).Times(7)
		}, want: workflows.WheelsResult{Outcome: workflows.Done, Built: 7}},
		"failures are counted, and delay nothing": {left: 4, setup: func(b *wheelBench) {
			b.described()
			b.ingested()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(delivered("compiler")).Times(4)
		}, want: workflows.WheelsResult{Outcome: workflows.Partial, Failed: 4}},
		"failures as before are no news": {left: 2, setup: func(b *wheelBench) {
			b.described()
			b.ingested()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(delivered("as before")).Times(2)
		}, want: workflows.WheelsResult{Outcome: workflows.Unchanged, Failed: 2, Known: 2}},
		"a new failure among those as before": {left: 3, setup: func(b *wheelBench) {
			b.described()
			b.ingested()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.BuildInput) (activities.Delivered, error) {
				return activities.Delivered{Attempt: in.Attempt + "-1", Class: []string{"as before", "", "compiler"}[in.Job]}, nil
			}).Times(3)
		}, want: workflows.WheelsResult{Outcome: workflows.Partial, Built: 1, Failed: 2, Known: 1}},
		"a build that takes its worker along": {left: 1, setup: func(b *wheelBench) {
			b.described()
			b.ingested()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(activities.Delivered{}, temporal.NewHeartbeatTimeoutError())
		}, want: workflows.WheelsResult{Outcome: workflows.Partial, Failed: 1}},
		"nobody who builds": {left: 3, setup: func(b *wheelBench) {
			b.described()
			b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(activities.Delivered{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil))
		}, want: workflows.WheelsResult{Outcome: workflows.Failed, FaultKind: "unavailable"}},
		"no root": {left: 3, setup: func(b *wheelBench) {
			b.env.OnActivity("Describe", mock.Anything, mock.Anything).Return(activities.Facts{}, refused("config"))
		}, want: workflows.WheelsResult{Outcome: workflows.Failed, FaultKind: "config"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newWheelBench(t, c.left)
			c.setup(b)
			got := b.run(t)
			got.Error = ""
			c.want.Platform = "d12"
			if c.want.Outcome == workflows.Failed {
				got.Builds = 0
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLooksWhetherThePlatformIsTheSame: nothing is to be built, and that nobody
// is there to say what the platform is makes no failure.
func TestLooksWhetherThePlatformIsTheSame(t *testing.T) {
	in := wheelsInput()
	in.Look = true
	for name, c := range map[string]struct {
		err  error
		left int
		want workflows.Outcome
	}{
		"nobody is there":  {temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil), 0, workflows.Unchanged},
		"it is the same":   {nil, 0, workflows.Unchanged},
		"it is another":    {nil, 2, workflows.Done},
		"its root is gone": {refused("config"), 0, workflows.Failed},
	} {
		b := newWheelBench(t, c.left)
		b.ingested()
		b.env.OnActivity("Describe", mock.Anything, mock.Anything).Return(activities.Facts{Python: "3.12"}, c.err)
		b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(wellBuilt).Maybe()
		b.env.ExecuteWorkflow("Wheels", in)
		var out workflows.WheelsResult
		if err := b.env.GetWorkflowResult(&out); err != nil || out.Outcome != c.want {
			t.Errorf("%s: %+v %v", name, out, err)
		}
	}
}

// TestWaitsForAnotherPlatform has nothing but pins that another platform builds
// first: when that comes to nothing, the platform builds them itself.
func TestWaitsForAnotherPlatform(t *testing.T) {
	b := newWheelBench(t, 0)
	b.waiting = 2
	b.described()
	b.ingested()
	b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(wellBuilt).Times(2)
	start := b.env.Now()
	got := b.run(t)
	if got.Built != 2 || got.Outcome != workflows.Done {
		t.Errorf("%+v", got)
	}
	if waited := b.env.Now().Sub(start); waited < 4*time.Minute || waited > 6*time.Minute {
		t.Errorf("waited %s", waited)
	}
}

// TestGoesOnInANewRun has more builds than one run's history should hold.
func TestGoesOnInANewRun(t *testing.T) {
	b := newWheelBench(t, 700)
	b.described()
	b.ingested()
	b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(wellBuilt).Times(500)
	b.env.ExecuteWorkflow("Wheels", wheelsInput())
	var again *workflow.ContinueAsNewError
	if err := b.env.GetWorkflowError(); !errors.As(err, &again) || b.left != 200 {
		t.Errorf("%v with %d left", err, b.left)
	}
}

// TestBuildsThatPerishedAreToldApart: by its attempt a second delivery of the
// same failure is known for what it is, and not for another failure.
func TestBuildsThatPerishedAreToldApart(t *testing.T) {
	b := newWheelBench(t, 2)
	b.described()
	b.env.OnActivity("BuildWheel", mock.Anything, mock.Anything).Return(activities.Delivered{}, temporal.NewHeartbeatTimeoutError())
	seen := map[string]int{}
	b.env.OnActivity("Ingest", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.IngestInput) (activities.Ingested, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if seen[in.Delivered.Attempt]++; seen[in.Delivered.Attempt] == 1 {
			return activities.Ingested{}, errors.New("the worker died before it could answer")
		}
		b.left--
		return activities.Ingested{Class: in.Delivered.Class}, nil
	})
	if got := b.run(t); got.Failed != 2 {
		t.Errorf("%+v", got)
	}
	if seen[""] > 0 || len(seen) != 2 {
		t.Errorf("two builds are delivered as attempts %v", seen)
	}
}
