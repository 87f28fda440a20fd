package workflows

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// Release brings one group of regions to a tree's newest sealed generation,
// reads it back through their URLs and deletes what is due there.
func Release(ctx workflow.Context, in ReleaseInput) ([]RegionResult, error) {
	mark(ctx, attrMirror.ValueSet(in.Target.Mirror.Name), attrRegion.ValueSet(group(in.Regions)))
	out := make([]RegionResult, len(in.Regions))
	if err := workflow.SetQueryHandler(ctx, "progress", func() ([]RegionResult, error) { return out, nil }); err != nil {
		return nil, err
	}
	for i, r := range in.Regions {
		out[i] = releaseOne(ctx, in, r)
		workflow.SetCurrentDetails(ctx, regionDetails(out))
	}
	mark(ctx, attrGeneration.ValueSet(lowest(out)), attrOutcome.ValueSet(string(worst(out))))
	return out, nil
}

func releaseOne(ctx workflow.Context, in ReleaseInput, r mirrorspec.Region) RegionResult {
	queue := RegionQueue(in.Target.Storage.Name, r)
	step := activities.RegionInput{Target: in.Target, Region: r, Tree: in.Tree}
	res := RegionResult{Region: r.Name, Outcome: Unchanged}
	failed := func(err error) bool {
		if err != nil && res.Error == "" {
			res.Outcome = Failed
			res.FaultKind, res.Error = activities.FaultOf(err)
		}
		return err != nil
	}
	published, err := publish(ctx, queue, step)
	if failed(err) {
		return res
	}
	if published.Error != "" {
		res.Outcome, res.FaultKind, res.Error = Failed, published.Kind, published.Error
		return res
	}
	if published.Changed {
		res.Outcome = Done
	}
	step.Number = published.Serves
	probed, err := probe(ctx, queue, step)
	if !failed(err) {
		res.Serves = probed.Serves
		if probed.Serves < step.Number {
			failed(temporal.NewApplicationError("release: probe "+r.URL+": "+probed.Error, "unavailable"))
		}
	}
	if res.Serves > 0 {
		step.Number = res.Serves
		failed(confirm(ctx, queue, step))
	}
	if reaped, err := reapRegion(ctx, queue, step); !failed(err) {
		res.Reaped = &reaped
	}
	return res
}

// releaseAll starts a child per group and waits for all of them for a time.
func releaseAll(ctx workflow.Context, in MirrorInput, tree string, number int64) []RegionResult {
	out := make([]RegionResult, len(in.Regions))
	pending := len(in.Regions)
	for i, r := range in.Regions {
		out[i] = RegionResult{Region: r.Name, Outcome: Late}
		child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID: ReleaseID(tree, r.Name), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
			StaticSummary: "release " + in.Target.Mirror.Name + " to " + r.Name,
		})
		f := workflow.ExecuteChildWorkflow(child, Release, ReleaseInput{Target: in.Target, Tree: tree, Regions: []mirrorspec.Region{r}, Number: number})
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer func() { pending-- }()
			var got []RegionResult
			switch err := f.Get(ctx, &got); {
			case alreadyRunning(err):
				out[i].Outcome = Busy
			case err != nil:
				out[i].Outcome = Failed
				out[i].FaultKind, out[i].Error = activities.FaultOf(err)
			case len(got) == 1:
				out[i] = got[0]
			}
		})
	}
	await(ctx, time.Duration(in.ReleaseWait), "wait for the regions", func() bool { return pending == 0 })
	return out
}

// await waits for a condition for a time; what is not there by then is late.
func await(ctx workflow.Context, limit time.Duration, summary string, condition func() bool) {
	_, _ = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: limit, TimerOptions: workflow.TimerOptions{Summary: summary}}, condition)
}

func alreadyRunning(err error) bool {
	var running *temporal.ChildWorkflowExecutionAlreadyStartedError
	return errors.As(err, &running)
}

func group(rs []mirrorspec.Region) string {
	if len(rs) == 0 {
		return ""
	}
	return rs[0].Name
}

func lowest(rs []RegionResult) int64 {
	var low int64
	for i, r := range rs {
		if i == 0 || r.Serves < low {
			low = r.Serves
		}
	}
	return low
}

func worst(rs []RegionResult) Outcome {
	out := Unchanged
	for _, r := range rs {
		out = worse(out, r.Outcome)
	}
	return out
}
