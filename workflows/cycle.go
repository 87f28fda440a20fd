package workflows

import (
	"cmp"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// MirrorCycle makes one pass over a spec: a child Mirror for each mirror, none
// waiting for another. It ends in time, whatever a mirror, a region, a tree or
// a person does: what is not there by then is late, and goes on.
func MirrorCycle(ctx workflow.Context, in CycleInput) (CycleResult, error) {
	c := cycle{in: in, ends: limitsOf(workflow.GetInfo(ctx).WorkflowStartTime, in), result: CycleResult{Cycle: in.Spec.Cycle.Name}}
	if err := workflow.SetQueryHandler(ctx, "progress", func() (CycleResult, error) { return c.result, nil }); err != nil {
		return c.result, err
	}
	c.run(ctx)
	if ctx.Err() != nil {
		// The server asks children to cancel only as long as their parent runs.
		apart, _ := workflow.NewDisconnectedContext(ctx)
		await(apart, margin, "let the mirrors end", func() bool { return c.pending == 0 })
	}
	return c.result, ctx.Err()
}

// Timeout is when the server ends a cycle that cannot end itself, as one whose
// history an upgrade cannot replay: the next one must not wait for it.
func (in CycleInput) Timeout() time.Duration {
	if due := time.Duration(in.Due); due > 0 {
		return max(due, leastDue)
	}
	return time.Duration(in.Spec.Cycle.MirrorWait) + 2*time.Hour // its last steps have about one by their budgets
}

type cycle struct {
	in      CycleInput
	ends    limits
	result  CycleResult
	pending int
	weave   weave
}

// limits are the moments by which the parts of a cycle have to be over.
type limits struct {
	mirrors time.Time     // what a mirror has not done by then is late
	report  time.Duration // each of the last steps' own limit; 0 is what their budgets say
}

// leastDue is the shortest time that a cycle takes for itself, and margin how
// long after their end the results of its mirrors may arrive, where nothing is due.
const leastDue, margin = 10 * time.Second, 5 * time.Second

// limitsOf leaves three quarters of the time until the next cycle to the mirrors.
func limitsOf(start time.Time, in CycleInput) limits {
	wait, due := time.Duration(in.Spec.Cycle.MirrorWait), time.Duration(in.Due)
	if due <= 0 {
		return limits{mirrors: start.Add(wait)}
	}
	due = max(due, leastDue)
	return limits{mirrors: start.Add(min(wait, due*3/4)), report: due / 20}
}

func (c *cycle) run(ctx workflow.Context) {
	targets := Targets(c.in.Spec, c.in.Only)
	for _, t := range targets {
		c.result.Mirrors = append(c.result.Mirrors, MirrorResult{Mirror: t.Mirror.Name, Kind: t.Mirror.Kind, Outcome: Late})
	}
	c.weave = newWeave(targets)
	for i, t := range targets {
		c.start(ctx, i, t)
		if i%batch == batch-1 {
			_ = c.weave.child[t.Mirror.Name].GetChildWorkflowExecution().Get(ctx, nil)
		}
	}
	c.show(ctx)
	c.listen(ctx)
	wait := c.ends.mirrors.Sub(workflow.Now(ctx)) + cmp.Or(c.ends.report, margin)
	await(ctx, wait, "wait for the mirrors", func() bool { return c.pending == 0 })
	c.result.Outcome = overall(c.result)
	c.writeSites(ctx)
	c.report(ctx)
	c.show(ctx)
	mark(ctx, attrOutcome.ValueSet(string(c.result.Outcome)))
}

// batch is how many mirrors are started in one workflow task: what a task asks
// for crosses as one message, which may be of 4 MB.
const batch = 10

// overall is the gravest outcome of a cycle's parts.
func overall(r CycleResult) Outcome {
	out := Unchanged
	for _, m := range r.Mirrors {
		out = worse(worse(out, m.Outcome), worst(m.Regions))
		for _, w := range m.Wheels {
			out = worse(out, w.Outcome)
		}
	}
	return out
}

// start starts the child of one mirror. It outlives a cycle only by moments:
// it knows when the cycle stops waiting.
func (c *cycle) start(ctx workflow.Context, i int, t activities.Target) {
	c.pending++
	name := t.Mirror.Name
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: PassID(workflow.GetInfo(ctx).WorkflowExecution.ID, name), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowExecutionTimeout: max(c.ends.mirrors.Sub(workflow.Now(ctx)), 0) + time.Hour, // it ends long before
		StaticSummary:            string(t.Mirror.Kind) + " mirror " + name, StaticDetails: AboutMirror(t.Mirror, c.in.Spec.RegionsOf(name)),
	})
	f := workflow.ExecuteChildWorkflow(child, Mirror, MirrorInput{Target: t, Regions: c.in.Spec.RegionsOf(name), Ends: c.ends.mirrors,
		ReleaseWait: c.in.Spec.Cycle.ReleaseWait, WheelWindow: c.in.Spec.Cycle.WheelWindow, DryRun: c.in.DryRun, After: c.weave.waits(name), Tell: c.weave.tells(name)})
	c.weave.child[name] = f
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { c.pending-- }()
		var got MirrorResult
		if err := f.Get(ctx, &got); err != nil {
			c.fail(i, err)
		} else {
			c.result.Mirrors[i] = brief(got, len(c.result.Mirrors))
		}
		c.weave.note(ctx, Told{Mirror: name, What: toldRequired})
		c.weave.note(ctx, Told{Mirror: name, What: toldRefreshed})
		c.show(ctx)
	})
}

func (c *cycle) fail(i int, err error) {
	r := &c.result.Mirrors[i]
	r.Outcome = Failed
	r.FaultKind, r.Error = activities.FaultOf(err)
	r.Error = cut(r.Error, maxText)
}

func (c *cycle) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, cycleDetails(c.result))
}

// Targets lists what a cycle over spec works on.
func Targets(spec mirrorspec.Spec, only []string) []activities.Target {
	var out []activities.Target
	for _, m := range spec.Mirrors {
		if len(only) == 0 || slices.Contains(only, m.Name) {
			t := activities.Target{Storage: spec.Storage, Limits: spec.Limits, Every: spec.Cycle.Every, Mirror: m}
			if slices.ContainsFunc(spec.RegionsOf(m.Name), func(r mirrorspec.Region) bool { return r.AFS != nil }) {
				t.AFS = spec.AFS
			}
			t.Index, _ = spec.Mirror(m.Index)
			for _, other := range spec.Mirrors {
				if other.Index == m.Name {
					t.Referring = append(t.Referring, other.Name)
				}
				if m.Kind == mirrorspec.PyPI && len(m.Requirements) > 0 {
					t.Platforms = append(t.Platforms, other.Platforms...)
				}
			}
			out = append(out, t)
		}
	}
	return out
}
