package workflows

import (
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// weave is the order that wheels mirrors bring into a cycle: what they want is
// known before their index mirrors plan, those have ended before wheels are
// planned, and what is built when the window ends is merged and released.
type weave struct {
	on       bool
	required map[string]bool // wheels mirrors whose wants are known, as far as they can be
	ended    map[string]bool // mirrors that have ended
}

func (c *cycle) weaves(ctx workflow.Context, targets []activities.Target) {
	if slices.ContainsFunc(targets, func(t activities.Target) bool { return t.Mirror.Kind == mirrorspec.Wheels }) {
		c.weave = weave{on: weavesWheels(ctx), required: map[string]bool{}, ended: map[string]bool{}}
	}
}

// begin starts a mirror, or what has to precede it.
func (c *cycle) begin(ctx workflow.Context, i int, t activities.Target, tree string) {
	switch {
	case c.weave.on && t.Mirror.Kind == mirrorspec.Wheels:
		c.pending++
		workflow.GoNamed(ctx, "wheels "+t.Mirror.Name, func(ctx workflow.Context) {
			defer func() { c.pending-- }()
			c.wheels(ctx, i, t, tree)
		})
	case c.weave.on && slices.ContainsFunc(t.Mirror.Requirements, c.isWheels):
		c.pending++
		workflow.GoNamed(ctx, "index "+t.Mirror.Name, func(ctx workflow.Context) {
			defer func() { c.pending-- }()
			_ = workflow.Await(ctx, func() bool {
				return !slices.ContainsFunc(t.Mirror.Requirements, func(name string) bool { return c.isWheels(name) && !c.weave.required[name] })
			})
			c.start(ctx, i, t, tree)
		})
	default:
		c.start(ctx, i, t, tree)
	}
}

// isWheels reports whether a wheels mirror of that name is part of the cycle.
func (c *cycle) isWheels(name string) bool {
	return slices.ContainsFunc(c.result.Mirrors, func(m MirrorResult) bool { return m.Mirror == name && m.Kind == mirrorspec.Wheels })
}

// wheels brings one wheels mirror up to date.
func (c *cycle) wheels(ctx workflow.Context, i int, t activities.Target, tree string) {
	r, err := require(ctx, SyncQueue(t.Storage.Name), activities.RequireInput{Target: t})
	c.weave.required[t.Mirror.Name] = true
	_ = workflow.Await(ctx, func() bool {
		return c.weave.ended[t.Mirror.Index] || !slices.ContainsFunc(c.result.Mirrors, func(m MirrorResult) bool { return m.Mirror == t.Mirror.Index })
	})
	if !c.in.DryRun && err == nil {
		c.build(ctx, i, t, tree)
	}
	built := c.result.Mirrors[i].Wheels
	done := false
	c.startThen(ctx, i, t, tree, func() {
		m := &c.result.Mirrors[i]
		m.Wheels, m.Stale = built, r.Stale
		if err != nil && m.Error == "" {
			c.fail(i, err)
		}
		done = true
	})
	_ = workflow.Await(ctx, func() bool { return done })
}

// build starts the builds of every platform that lacks something, and waits
// for them until the window ends. They go on after that.
func (c *cycle) build(ctx workflow.Context, i int, t activities.Target, tree string) {
	pending := len(t.Mirror.Platforms)
	out := make([]WheelsResult, pending)
	c.result.Mirrors[i].Wheels = out
	for n, p := range t.Mirror.Platforms {
		out[n] = WheelsResult{Platform: p.Name, Outcome: Late}
		workflow.GoNamed(ctx, "platform "+p.Name, func(ctx workflow.Context) {
			defer func() { pending-- }()
			out[n] = c.platform(ctx, t, p, tree)
			c.show(ctx)
		})
	}
	c.show(ctx)
	await(ctx, time.Duration(c.in.Spec.Cycle.WheelWindow), fmt.Sprintf("the wheel window of %s", t.Mirror.Name), func() bool { return pending == 0 })
	c.result.Mirrors[i].Wheels = slices.Clone(out) // who is late changes nothing any more
}

// platform builds what a platform lacks, in a child that outlives the cycle.
func (c *cycle) platform(ctx workflow.Context, t activities.Target, p mirrorspec.Platform, tree string) WheelsResult {
	res := WheelsResult{Platform: p.Name, Outcome: Unchanged}
	failed := func(err error) WheelsResult {
		res.Outcome = Failed
		res.FaultKind, res.Error = activities.FaultOf(err)
		return res
	}
	plan, err := wheelPlan(ctx, SyncQueue(t.Storage.Name), activities.WheelPlanInput{Target: t, Platform: p.Name})
	if err != nil {
		return failed(err)
	}
	res.States, res.Builds, res.Waiting = plan.States, plan.Builds, plan.Waiting
	idle := plan.Builds+plan.Waiting == 0 && !plan.Unknown
	if idle && !plan.Ask {
		return res
	}
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: WheelsID(tree, p.Name), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary: "wheels of " + t.Mirror.Name + " for " + p.Name,
	})
	var got WheelsResult
	switch err := workflow.ExecuteChildWorkflow(child, Wheels, WheelsInput{Target: t, Tree: tree, Platform: p, Look: idle}).Get(ctx, &got); {
	case alreadyRunning(err):
		res.Outcome = Busy
		return res
	case err != nil:
		return failed(err)
	}
	return got
}
