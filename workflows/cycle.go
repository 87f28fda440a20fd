package workflows

import (
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// MirrorCycle makes one pass over a spec: every mirror in parallel, none
// waiting for another, a person, or a late region.
func MirrorCycle(ctx workflow.Context, in CycleInput) (CycleResult, error) {
	c := cycle{in: in, result: CycleResult{Cycle: in.Spec.Cycle.Name}, begun: map[string]bool{}}
	if err := workflow.SetQueryHandler(ctx, "progress", func() (CycleResult, error) { return c.result, nil }); err != nil {
		return c.result, err
	}
	c.run(ctx)
	return c.result, nil
}

// maxDeferred is how many notes the result of a cycle has, of all mirrors: at
// about 700 bytes each they stay well below what Temporal takes.
const maxDeferred = 1000

type cycle struct {
	in      CycleInput
	result  CycleResult
	pending int
	begun   map[string]bool // mirrors that were started, or what has to precede them
	weave   weave
}

func (c *cycle) run(ctx workflow.Context) {
	targets := Targets(c.in.Spec, c.in.Only)
	for _, t := range targets {
		c.result.Mirrors = append(c.result.Mirrors, MirrorResult{Mirror: t.Mirror.Name, Kind: t.Mirror.Kind, Outcome: Late})
	}
	c.show(ctx)
	c.weaves(ctx, targets)
	ids, err := identify(ctx, SyncQueue(c.in.Spec.Storage.Name), targets)
	for i, t := range targets {
		switch {
		case err != nil:
			c.fail(i, err)
		case ids[i].Error != "":
			r := &c.result.Mirrors[i]
			r.Outcome, r.FaultKind, r.Error = Failed, ids[i].Kind, ids[i].Error
		default:
			c.begin(ctx, i, t, ids[i].Tree)
			continue
		}
		c.over(t.Mirror.Name)
	}
	c.show(ctx)
	await(ctx, time.Duration(c.in.Spec.Cycle.MirrorWait), "wait for the mirrors", func() bool { return c.pending == 0 })
	c.result.Outcome = Unchanged
	for _, m := range c.result.Mirrors {
		c.result.Outcome = worse(c.result.Outcome, m.Outcome)
		c.result.Outcome = worse(c.result.Outcome, worst(m.Regions))
		for _, w := range m.Wheels {
			c.result.Outcome = worse(c.result.Outcome, w.Outcome)
		}
	}
	c.writeSites(ctx)
	c.report(ctx)
	c.show(ctx)
	mark(ctx, attrOutcome.ValueSet(string(c.result.Outcome)))
}

func (c *cycle) start(ctx workflow.Context, i int, t activities.Target, tree string) {
	c.startThen(ctx, i, t, tree, func() {})
}

// over notes that nobody needs to wait for a mirror any more.
func (c *cycle) over(mirror string) {
	if c.weave.on {
		c.weave.required[mirror], c.weave.ended[mirror] = true, true
	}
}

// startThen calls then when the mirror has ended and its result is noted.
func (c *cycle) startThen(ctx workflow.Context, i int, t activities.Target, tree string, then func()) {
	c.pending++
	c.begun[t.Mirror.Name] = true
	c.show(ctx)
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: MirrorID(tree), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary: string(t.Mirror.Kind) + " mirror " + t.Mirror.Name, StaticDetails: AboutMirror(t.Mirror, c.in.Spec.RegionsOf(t.Mirror.Name)),
	})
	f := workflow.ExecuteChildWorkflow(child, Mirror, MirrorInput{Target: t, Tree: tree, Regions: c.in.Spec.RegionsOf(t.Mirror.Name),
		ReleaseWait: c.in.Spec.Cycle.ReleaseWait, DryRun: c.in.DryRun})
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { c.pending-- }()
		var got MirrorResult
		switch err := f.Get(ctx, &got); {
		case alreadyRunning(err):
			c.result.Mirrors[i].Outcome = Busy
		case err != nil:
			c.fail(i, err)
		default:
			// All mirrors' notes have to fit into one result.
			got.Deferred = got.Deferred[:min(len(got.Deferred), max(maxDeferred/len(c.result.Mirrors), 1))]
			c.result.Mirrors[i] = got
		}
		then()
		c.over(t.Mirror.Name)
		c.show(ctx)
	})
}

func (c *cycle) fail(i int, err error) {
	r := &c.result.Mirrors[i]
	r.Outcome = Failed
	r.FaultKind, r.Error = activities.FaultOf(err)
}

func (c *cycle) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, cycleDetails(c.result, c.begun))
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
