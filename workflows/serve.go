package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Serve brings one group of regions to a tree's newest sealed generation, reads
// it back through their URLs and deletes what is due there. It does not ask
// what the tree's refresh does. Signalled "again", it does all of it once more.
func Serve(ctx workflow.Context, in ServeInput) ([]RegionResult, error) {
	mark(ctx, attrMirror.ValueSet(in.Target.Mirror.Name), attrRegion.ValueSet(group(in.Target, in.Regions)))
	out := make([]RegionResult, len(in.Regions))
	for i, r := range in.Regions {
		out[i].Region = r.Name
	}
	if err := workflow.SetQueryHandler(ctx, "progress", func() ([]RegionResult, error) { return out, nil }); err != nil {
		return nil, err
	}
	again := workflow.GetSignalChannel(ctx, signalAgain)
	whole := ctx // a cancelled run finishes what it does, and closes as cancelled
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for more := true; more; more = whole.Err() == nil && received(again) {
		if full(ctx) {
			return out, workflow.NewContinueAsNewError(ctx, Serve, in)
		}
		workflow.SetCurrentDetails(ctx, regionDetails(out))
		out = serveOnce(ctx, in)
		for i := range out {
			out[i].bound()
		}
		workflow.SetCurrentDetails(ctx, regionDetails(out))
		mark(ctx, attrGeneration.ValueSet(lowest(out)), attrOutcome.ValueSet(string(worst(out))))
	}
	return out, whole.Err()
}

// signalAgain asks a Serve that runs to look for a newer generation before it ends.
const signalAgain = "again"

// received takes all that waits in a channel, and reports whether there was any.
func received(c workflow.ReceiveChannel) (any bool) {
	for c.ReceiveAsync(nil) {
		any = true
	}
	return any
}

func serveOnce(ctx workflow.Context, in ServeInput) []RegionResult {
	if len(in.Regions) > 0 && in.Regions[0].AFS != nil {
		return releaseVolume(ctx, in)
	}
	out := make([]RegionResult, len(in.Regions))
	for i, r := range in.Regions {
		out[i] = releaseOne(ctx, in, r)
	}
	return out
}

func releaseOne(ctx workflow.Context, in ServeInput, r mirrorspec.Region) RegionResult {
	queue := RegionQueue(in.Target, r)
	step := activities.RegionInput{Target: in.Target, Region: r, Tree: in.Tree}
	published, err := publish(ctx, queue, step)
	res := RegionResult{Region: r.Name, Outcome: Unchanged}
	if !res.published(published, err) {
		return res
	}
	step.Number = published.Serves
	readBack(ctx, queue, step, &res)
	if reaped, err := reapRegion(ctx, queue, step); !res.failed(err) {
		res.Reaped = &reaped
		if n := len(reaped.Problems); n > 0 {
			res.failed(temporal.NewNonRetryableApplicationError(fmt.Sprintf("release: scrub found %d damaged files, first: %s", n, reaped.Problems[0]),
				string(fault.Corrupt), nil))
		}
	}
	return res
}

// releaseVolume releases the volume that is the tree: all sites at once, those
// that no region names too. What is due is deleted in the tree, not here.
func releaseVolume(ctx workflow.Context, in ServeInput) []RegionResult {
	queue := RegionQueue(in.Target, in.Regions[0])
	published, err := publishGroup(ctx, queue, activities.GroupInput{Target: in.Target, Regions: in.Regions, Tree: in.Tree})
	out := make([]RegionResult, max(len(in.Regions), len(published)))
	var probes []func(workflow.Context)
	for i := range out {
		res := &out[i]
		res.Outcome = Unchanged
		if err != nil || i >= len(published) {
			res.Region = in.Regions[i].Name
			res.failed(err)
			continue
		}
		res.Region = published[i].Region
		ok := res.published(published[i], nil)
		if i >= len(in.Regions) { // a site without a region has no URL to be read through
			res.Serves = published[i].Serves
			continue
		}
		if published[i].Serves > 0 && (ok || published[i].Kind == string(fault.Unavailable)) {
			// A site that lags serves something too: what, decides when objects may go.
			step := activities.RegionInput{Target: in.Target, Region: in.Regions[i], Tree: in.Tree, Number: published[i].Serves}
			probes = append(probes, func(ctx workflow.Context) { readBack(ctx, queue, step, res) })
		}
	}
	// All at once: a front end that does not answer delays no other region.
	all := workflow.NewWaitGroup(ctx)
	for _, f := range probes {
		all.Go(ctx, func(ctx workflow.Context) {
			f(ctx)
			workflow.SetCurrentDetails(ctx, regionDetails(out))
		})
	}
	all.Wait(ctx)
	return out
}

// published notes what a backend did and reports whether it came about.
func (r *RegionResult) published(o activities.Outcome, err error) bool {
	if r.failed(err) {
		return false
	}
	if o.Changed {
		r.Outcome = Done
	}
	if o.Error != "" {
		r.Outcome, r.FaultKind, r.Error = Failed, o.Kind, o.Error
	}
	r.early()
	return o.Error == ""
}

// failed notes the first error of a region and reports whether there is one now.
func (r *RegionResult) failed(err error) bool {
	if err != nil && r.Error == "" {
		r.Outcome = Failed
		r.FaultKind, r.Error = activities.FaultOf(err)
		r.early()
	}
	return err != nil
}

// early tells a release that another mirror's has to precede from a failed one.
func (r *RegionResult) early() {
	if r.FaultKind == string(fault.Early) {
		r.Outcome = Late
	}
}

// readBack probes the region's URLs and records what they were seen to serve.
func readBack(ctx workflow.Context, queue string, step activities.RegionInput, res *RegionResult) {
	probed, err := probe(ctx, queue, step)
	if !res.failed(err) {
		res.Serves = probed.Serves
		if probed.Serves < step.Number {
			why := probed.Error
			if why == "" {
				why = fmt.Sprintf("release: probe %s: it serves generation %d, want %d", step.Region.URL, probed.Serves, step.Number)
			}
			res.failed(temporal.NewApplicationError(why, "unavailable"))
		}
	}
	if res.Serves > 0 {
		step.Number = res.Serves
		res.failed(confirm(ctx, queue, step))
	}
}

// groups splits regions into those that are released together: the sites of a
// volume, and every other one by itself.
func groups(t activities.Target, regions []mirrorspec.Region) [][]mirrorspec.Region {
	var out [][]mirrorspec.Region
	sites := -1
	for _, r := range regions {
		switch {
		case r.AFS == nil || t.AFS == nil:
			out = append(out, []mirrorspec.Region{r})
		case sites >= 0:
			out[sites] = append(out[sites], r)
		default:
			sites = len(out)
			out = append(out, []mirrorspec.Region{r})
		}
	}
	return out
}

// startServe starts the child that serves a group of regions, which outlives its
// parent, also one that is cancelled.
func startServe(ctx workflow.Context, in ServeInput) workflow.ChildWorkflowFuture {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	name := group(in.Target, in.Regions)
	in.Target = in.Target.Brief()
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: ServeID(in.Tree, name), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary: "serve " + in.Target.Mirror.Name + " in " + name,
	})
	return workflow.ExecuteChildWorkflow(child, Serve, in)
}

// serveGroup serves a group of regions and waits for it for a time; show hears
// how it stands whenever that changes.
func serveGroup(ctx workflow.Context, in ServeInput, wait time.Duration, show func([]RegionResult)) {
	over, late := false, false
	tell := func(rs []RegionResult) {
		if !late { // else it changes nothing any more
			show(rs)
		}
	}
	set := func(o Outcome, err error) {
		out := make([]RegionResult, len(in.Regions))
		for i, r := range in.Regions {
			out[i] = RegionResult{Region: r.Name, Outcome: o}
			out[i].failed(err)
		}
		tell(out)
	}
	set(Late, nil)
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { over = true }()
		f, busy := beginServe(ctx, in)
		if busy { // it may be past the release: what is newer comes with its next round
			set(Busy, nil)
			return
		}
		var got []RegionResult
		if err := f.Get(ctx, &got); err != nil {
			set(Failed, err)
			return
		}
		tell(got)
	})
	await(ctx, wait, "wait for "+group(in.Target, in.Regions), func() bool { return over })
	late = !over
}

// handOver lets all groups of regions have what was sealed, without waiting for
// them: one that is being served looks once more before it ends.
func handOver(ctx workflow.Context, t activities.Target, tree string, regions []mirrorspec.Region) {
	for _, g := range groups(t, regions) {
		beginServe(ctx, ServeInput{Target: t, Tree: tree, Regions: g})
	}
}

// beginServe starts the Serve of a group, or has the one that runs look once
// more before it ends. busy reports the latter.
func beginServe(ctx workflow.Context, in ServeInput) (f workflow.ChildWorkflowFuture, busy bool) {
	for range 5 { // it may end between the two questions
		f = startServe(ctx, in)
		if !alreadyRunning(f.GetChildWorkflowExecution().Get(ctx, nil)) {
			return f, false
		}
		if workflow.SignalExternalWorkflow(ctx, ServeID(in.Tree, group(in.Target, in.Regions)), "", signalAgain, nil).Get(ctx, nil) == nil {
			return f, true
		}
	}
	return f, true
}

// await waits for a condition for a time; what is not there by then is late.
func await(ctx workflow.Context, limit time.Duration, summary string, condition func() bool) {
	_, _ = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: limit, TimerOptions: workflow.TimerOptions{Summary: summary}}, condition)
}

func alreadyRunning(err error) bool {
	var running *temporal.ChildWorkflowExecutionAlreadyStartedError
	return errors.As(err, &running)
}

// group names the regions that are released together.
func group(t activities.Target, rs []mirrorspec.Region) string {
	switch {
	case len(rs) == 0:
		return ""
	case rs[0].AFS != nil && t.AFS != nil:
		return t.AFS.Cell
	}
	return rs[0].Name
}

// mendedIn names what was damaged in a region and is whole again.
func mendedIn(rs []RegionResult) []string {
	var out []string
	for _, r := range rs {
		if r.Reaped == nil {
			continue
		}
		for _, p := range r.Reaped.Mended {
			out = append(out, p+" in region "+r.Region)
		}
	}
	return out
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
