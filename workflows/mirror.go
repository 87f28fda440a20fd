package workflows

import (
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Mirror is the part of one mirror in a cycle: it starts what brings the tree
// up to date and what serves it, and says by the end of the cycle how far both
// are. It holds nothing, so whoever ends it stops neither.
func Mirror(ctx workflow.Context, in MirrorInput) (MirrorResult, error) {
	p := pass{in: in, queue: SyncQueue(in.Target.Storage.Name)}
	p.result = MirrorResult{Mirror: in.Target.Mirror.Name, Kind: in.Target.Mirror.Kind, Outcome: Late}
	p.progress = Progress{Mirror: p.result.Mirror, Stage: "identify"}
	mark(ctx, attrMirror.ValueSet(p.result.Mirror), attrKind.ValueSet(string(p.result.Kind)))
	if err := workflow.SetQueryHandler(ctx, "progress", func() (Progress, error) { return p.progress, nil }); err != nil {
		return p.result, err
	}
	p.run(ctx)
	p.stage(ctx, "end")
	mark(ctx, attrGeneration.ValueSet(p.result.Generation), attrOutcome.ValueSet(string(p.result.Outcome)))
	return p.result, ctx.Err()
}

// signalSealed carries the number of a generation that the refresh of a pass has
// just sealed, to the pass. What the refresh does after that, regions need not wait for.
const signalSealed = "sealed"

// pass is one run.
type pass struct {
	in        MirrorInput
	queue     string
	tree      activities.Identified
	result    MirrorResult
	progress  Progress
	refreshed bool // nothing more is to be expected of the tree in this cycle
	regions   [][]RegionResult
	serving   int // groups of regions that are not over
}

// headStart is how long the regions wait at most for the news of a cycle: one
// release then serves both. A quarter of the time that is left bounds it, too.
const headStart = time.Minute

func (p *pass) run(ctx workflow.Context) {
	if !p.identify(ctx) {
		return
	}
	p.serve(ctx)
	p.refresh(ctx)
	p.tell(ctx, toldRefreshed)
	p.refreshed = true
	p.show(ctx)
	if !p.in.DryRun && p.serving > 0 {
		p.stage(ctx, "release")
		await(ctx, p.left(ctx), "wait for the regions", func() bool { return p.serving == 0 })
		settle(ctx) // what was sealed at the last moment is begun to be served
	}
	p.result.Regions = slices.Concat(p.regions...)
	p.result.Mended = append(p.result.Mended, mendedIn(p.result.Regions)...)
}

// left is how long the cycle still waits.
func (p *pass) left(ctx workflow.Context) time.Duration {
	return max(p.in.Ends.Sub(workflow.Now(ctx)), 0)
}

// share is a part of the time that the cycle still waits.
func (p *pass) share(ctx workflow.Context, part int64) time.Duration {
	return max(p.left(ctx)/time.Duration(part), time.Second)
}

// identify reads which tree it is. One on a disk that does not answer is given
// up in time for the cycle to say so.
func (p *pass) identify(ctx workflow.Context) bool {
	var err error
	p.tree, err = identify(within(ctx, p.share(ctx, 1)), p.queue, p.in.Target)
	p.result.Generation = p.tree.Sealed
	if err != nil {
		p.result.Outcome = Failed
		p.result.FaultKind, p.result.Error = activities.FaultOf(err)
	}
	return err == nil
}

// refresh starts the refresh of the tree, after what has to precede it, and
// waits for its end as long as the cycle does.
func (p *pass) refresh(ctx workflow.Context) {
	var required activities.Required
	var unread error
	wheels := p.in.Target.Mirror.Kind == mirrorspec.Wheels
	if wheels {
		required, unread = require(within(ctx, p.share(ctx, 2)), p.queue, activities.RequireInput{Target: p.in.Target})
		p.tell(ctx, toldRequired)
	}
	p.await(ctx, wheels)
	var built []WheelsResult
	if wheels && !p.in.DryRun && unread == nil {
		built = p.build(ctx)
	}
	p.stage(ctx, "refresh")
	p.child(ctx)
	p.result.Wheels, p.result.Stale = built, required.Stale
	if unread != nil && p.result.Error == "" {
		p.result.Outcome = Failed
		p.result.FaultKind, p.result.Error = activities.FaultOf(unread)
	}
}

// await waits for the mirrors that precede this one, but not for ever: what was
// known before is better than nothing.
func (p *pass) await(ctx workflow.Context, wheels bool) {
	if !p.in.After {
		return
	}
	p.stage(ctx, "wait")
	part := int64(4)
	if wheels { // whose index waits a quarter for it
		part = 2
	}
	free := false
	signal := workflow.GetSignalChannel(ctx, signalGo)
	workflow.GoNamed(ctx, "hear the cycle", func(ctx workflow.Context) { free = signal.Receive(ctx, nil) || free })
	await(ctx, p.share(ctx, part), "wait for the mirrors that precede this one", func() bool { return free })
}

// tell tells the cycle what another mirror waits for.
func (p *pass) tell(ctx workflow.Context, what string) {
	if parent := workflow.GetInfo(ctx).ParentWorkflowExecution; p.in.Tell && parent != nil {
		// A cycle that has ended does not want to know.
		_ = workflow.SignalExternalWorkflow(ctx, parent.ID, parent.RunID, signalTold, Told{p.result.Mirror, what}).Get(ctx, nil)
	}
}

// child runs the refresh. One that runs already is another cycle's, and goes on.
func (p *pass) child(ctx workflow.Context) {
	t := p.in.Target
	apart, _ := workflow.NewDisconnectedContext(ctx) // who cancels a cycle stops no refresh
	options := workflow.WithChildOptions(apart, workflow.ChildWorkflowOptions{
		WorkflowID: RefreshID(p.tree.Tree), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary: "refresh " + t.Mirror.Name, StaticDetails: AboutMirror(t.Mirror, p.in.Regions),
	})
	f := workflow.ExecuteChildWorkflow(options, Refresh, RefreshInput{Target: t, Tree: p.tree.Tree, Regions: p.in.Regions, Ends: p.in.Ends, DryRun: p.in.DryRun})
	var got MirrorResult
	var err error
	over := false
	workflow.GoNamed(ctx, "refresh", func(ctx workflow.Context) {
		err = f.Get(ctx, &got)
		over = true
	})
	await(ctx, p.left(ctx), "wait for the refresh", func() bool { return over })
	switch {
	case !over:
	case alreadyRunning(err):
		p.result.Outcome = Busy
	case err != nil:
		p.result.Outcome = Failed
		p.result.FaultKind, p.result.Error = activities.FaultOf(err)
	default:
		sealed := p.result.Generation
		p.result = got
		// A refresh that could not open the tree knows of no generation. Regions
		// are served all the same, unless the tree itself is in doubt.
		if kind := fault.Kind(got.FaultKind); got.Generation == 0 && kind != fault.Stale && kind != fault.WrongStorage {
			p.result.Generation = sealed
		}
	}
}

// serve releases to each group of regions as soon as the tree is as new as it
// will be in this cycle, or the head start is over, and then once more for
// what came later.
func (p *pass) serve(ctx workflow.Context) {
	all := groups(p.in.Target, p.in.Regions)
	p.regions = make([][]RegionResult, len(all))
	if p.in.DryRun {
		return
	}
	p.serving = len(all)
	p.hear(ctx)
	patience, before := min(headStart, p.share(ctx, 4)), p.result.Generation
	for i, g := range all {
		workflow.GoNamed(ctx, "serve "+group(p.in.Target, g), func(ctx workflow.Context) {
			defer func() { p.serving-- }()
			await(ctx, patience, "the head start of the refresh", func() bool { return p.refreshed || p.result.Generation > before })
			served := int64(0)
			for news := func() bool { return p.result.Generation > served }; ctx.Err() == nil && (news() || !p.refreshed); {
				if news() {
					served = p.result.Generation
					p.release(ctx, i, g)
				}
				_ = workflow.Await(ctx, func() bool { return p.refreshed || news() })
			}
		})
	}
}

// hear hears from the refresh what it has sealed.
func (p *pass) hear(ctx workflow.Context) {
	sealed := workflow.GetSignalChannel(ctx, signalSealed)
	workflow.GoNamed(ctx, "hear the refresh", func(ctx workflow.Context) {
		for {
			var n int64
			sealed.Receive(ctx, &n)
			p.result.Generation = max(p.result.Generation, n)
			p.show(ctx)
		}
	})
}

// release serves one group once, for as long as the spec waits for a region.
func (p *pass) release(ctx workflow.Context, i int, g []mirrorspec.Region) {
	serveGroup(ctx, ServeInput{Target: p.in.Target, Tree: p.tree.Tree, Regions: g}, min(time.Duration(p.in.ReleaseWait), p.left(ctx)), func(rs []RegionResult) {
		p.regions[i] = rs
		p.show(ctx)
	})
}

// build starts the builds of every platform that lacks something, and waits
// for them until the window ends. They go on after that.
func (p *pass) build(ctx workflow.Context) []WheelsResult {
	p.stage(ctx, "build")
	t := p.in.Target
	pending := len(t.Mirror.Platforms)
	out := make([]WheelsResult, pending)
	p.result.Wheels = out
	for n, platform := range t.Mirror.Platforms {
		out[n] = WheelsResult{Platform: platform.Name, Outcome: Late}
		workflow.GoNamed(ctx, "platform "+platform.Name, func(ctx workflow.Context) {
			defer func() { pending-- }()
			out[n] = p.platform(ctx, platform)
			p.show(ctx)
		})
	}
	p.show(ctx)
	await(ctx, min(time.Duration(p.in.WheelWindow), p.share(ctx, 2)), "the wheel window of "+t.Mirror.Name, func() bool { return pending == 0 })
	return slices.Clone(out) // who is late changes nothing any more
}

// platform builds what a platform lacks, in a child that outlives the cycle.
func (p *pass) platform(ctx workflow.Context, platform mirrorspec.Platform) WheelsResult {
	t := p.in.Target
	res := WheelsResult{Platform: platform.Name, Outcome: Unchanged}
	failed := func(err error) WheelsResult {
		res.Outcome = Failed
		res.FaultKind, res.Error = activities.FaultOf(err)
		return res
	}
	plan, err := wheelPlan(ctx, p.queue, activities.WheelPlanInput{Target: t, Platform: platform.Name})
	if err != nil {
		return failed(err)
	}
	res.States, res.Builds, res.Waiting = plan.States, plan.Builds, plan.Waiting
	idle := plan.Builds+plan.Waiting == 0 && !plan.Unknown
	if idle && !plan.Ask {
		return res
	}
	apart, _ := workflow.NewDisconnectedContext(ctx)
	child := workflow.WithChildOptions(apart, workflow.ChildWorkflowOptions{
		WorkflowID: WheelsID(p.tree.Tree, platform.Name), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary: "wheels of " + t.Mirror.Name + " for " + platform.Name,
	})
	var got WheelsResult
	switch err := workflow.ExecuteChildWorkflow(child, Wheels, WheelsInput{Target: t, Tree: p.tree.Tree, Platform: platform, Look: idle}).Get(ctx, &got); {
	case alreadyRunning(err):
		res.Outcome = Busy
		return res
	case err != nil:
		return failed(err)
	}
	return got
}

func (p *pass) stage(ctx workflow.Context, name string) {
	p.progress.Stage, p.progress.Tree, p.progress.Generation = name, p.tree.Tree, p.result.Generation
	p.show(ctx)
}

func (p *pass) show(ctx workflow.Context) {
	shown := p.result
	shown.Regions = slices.Concat(p.regions...)
	workflow.SetCurrentDetails(ctx, passDetails(shown, p.progress.Stage))
}
