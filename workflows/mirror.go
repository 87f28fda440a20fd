package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Mirror brings one mirror up to date and releases it to its regions.
func Mirror(ctx workflow.Context, in MirrorInput) (MirrorResult, error) {
	m := mirror{in: in, queue: SyncQueue(in.Target.Storage.Name)}
	m.result = MirrorResult{Mirror: in.Target.Mirror.Name, Kind: in.Target.Mirror.Kind, Outcome: Unchanged}
	m.progress.Mirror = in.Target.Mirror.Name
	if err := m.listen(ctx); err != nil {
		return m.result, err
	}
	m.run(ctx)
	return m.result, nil
}

// mirror is one run. Whatever goes wrong on the way to a new generation ends
// up in the result; releasing and deleting what is due goes on regardless.
type mirror struct {
	in       MirrorInput
	queue    string
	opened   activities.Opened
	result   MirrorResult
	progress Progress
	stop     string // why an operator asked this run not to commit
}

func (m *mirror) run(ctx workflow.Context) {
	m.stage(ctx, "open")
	if !m.open(ctx) {
		m.end(ctx)
		return
	}
	m.advance(ctx)
	if m.in.DryRun || m.fenced() {
		m.end(ctx)
		return
	}
	if m.sealed(ctx) {
		m.release(ctx)
	}
	m.stage(ctx, "tend")
	m.tend(ctx)
	m.end(ctx)
}

func (m *mirror) fenced() bool { return m.result.FaultKind == string(fault.Fenced) }

func (m *mirror) open(ctx workflow.Context) bool {
	var err error
	m.opened, err = open(ctx, m.queue, activities.OpenInput{Target: m.in.Target, Regions: m.in.Regions})
	m.result.Generation = m.opened.Sealed
	return !m.failed(err)
}

// advance makes the next generation, if there is one to make.
func (m *mirror) advance(ctx workflow.Context) {
	if m.in.Rollback > 0 {
		m.stage(ctx, "roll back")
		c, err := rollback(ctx, m.queue, activities.RollbackInput{Target: m.in.Target, Epoch: m.opened.Epoch, To: m.in.Rollback,
			From: m.opened.Committed, Above: m.opened.Above})
		m.committed(c, err)
		return
	}
	if m.opened.Hold != "" && m.in.Approved == "" {
		m.result.Outcome, m.result.Reasons = OnHold, []string{m.opened.Hold}
		return
	}
	p, ok := m.plan(ctx)
	if !ok || !m.fetch(ctx, p) || m.stopped() {
		return
	}
	m.stage(ctx, "commit")
	c, err := commit(ctx, m.queue, activities.CommitInput{Target: m.in.Target, Epoch: m.opened.Epoch, Plan: p.Digest, Above: m.opened.Above,
		Hold: m.opened.Hold})
	m.committed(c, err)
}

// plan asks upstream and guards the answer; ok means there is something to fetch and commit.
func (m *mirror) plan(ctx workflow.Context) (p activities.Planned, ok bool) {
	m.stage(ctx, "plan")
	p, err := plan(ctx, m.queue, activities.PlanInput{Target: m.in.Target, Epoch: m.opened.Epoch, Approved: m.in.Approved})
	if m.failed(err) {
		return p, false
	}
	m.result.Deferred = p.Info.Deferred
	if news(p.Info.Deferred) {
		m.result.Outcome = Partial
	}
	if p.Digest == "" {
		return p, false
	}
	info := p.Info
	info.Deferred = nil // the result has them already
	m.result.Plan, m.result.Info = p.Digest, &info
	if reasons := Guard(m.in.Target.Mirror.Guard, p.Info); len(reasons) > 0 && !p.Approved {
		m.result.Outcome, m.result.Reasons = Held, reasons
		return m.rest(ctx)
	}
	if m.in.DryRun {
		m.result.Outcome = Planned
		return p, false
	}
	m.ahead(p.Info)
	return p, true
}

func (m *mirror) ahead(info tree.PlanInfo) {
	m.progress.Objects, m.progress.Bytes, m.progress.Shards = info.Objects, info.Bytes, info.Shards
}

// rest plans what a held plan has besides removals: of a PyPI mirror each project
// stands for itself.
func (m *mirror) rest(ctx workflow.Context) (p activities.Planned, ok bool) {
	if m.in.Target.Mirror.Kind != mirrorspec.PyPI || m.in.DryRun || !sparesProjects(ctx) {
		return p, false
	}
	p, err := plan(ctx, m.queue, activities.PlanInput{Target: m.in.Target, Epoch: m.opened.Epoch, Spare: true})
	if err != nil || p.Digest == "" || len(Guard(m.in.Target.Mirror.Guard, p.Info)) > 0 {
		return p, false // the plan that is held is what there is to tell
	}
	m.ahead(p.Info)
	return p, true
}

// window is how many shards are under way at once: enough for every worker of
// a storage, few enough that history stays small.
const window = 8

// fetch brings every shard in, several at a time over all workers.
func (m *mirror) fetch(ctx workflow.Context, p activities.Planned) bool {
	m.stage(ctx, "fetch")
	var failure error
	next, running := 0, 0
	selector := workflow.NewSelector(ctx)
	start := func() {
		shard := next
		next++
		running++
		summary := fmt.Sprintf("shard %d of %d", shard+1, p.Info.Shards)
		f := fetchShard(ctx, FetchQueue(m.in.Target.Storage.Name), summary, activities.FetchInput{Target: m.in.Target, Epoch: m.opened.Epoch, Plan: p.Digest, Shard: shard})
		selector.AddFuture(f, func(f workflow.Future) {
			running--
			var out activities.Fetched
			if err := f.Get(ctx, &out); err != nil {
				failure = err
			}
			m.fetched(out)
			m.show(ctx)
		})
	}
	for next < p.Info.Shards && failure == nil || running > 0 {
		if next < p.Info.Shards && running < window && failure == nil {
			start()
			continue
		}
		selector.Select(ctx)
	}
	return !m.failed(failure)
}

func (m *mirror) fetched(out activities.Fetched) {
	m.progress.DoneShards++
	m.progress.DoneObjects += out.Objects
	m.progress.DoneBytes += out.Bytes
	m.result.Downloaded += out.Downloaded
}

func (m *mirror) stopped() bool {
	if m.stop == "" {
		return false
	}
	m.result.Outcome, m.result.Reasons = OnHold, []string{m.stop}
	return true
}

func (m *mirror) committed(c activities.Committed, err error) {
	held := m.result.Outcome == Held
	m.result.Deferred = activities.Told(append(m.result.Deferred, c.Deferred...))
	if m.failed(err) {
		return
	}
	m.opened.Epoch = c.Epoch
	if c.Hold != "" {
		m.result.Outcome, m.result.Reasons = OnHold, []string{c.Hold}
		return
	}
	if c.Number > 0 {
		m.result.Outcome, m.result.Changes = Done, &c.Changes
		m.opened.Committed = c.Number
	}
	if news(m.result.Deferred) {
		m.result.Outcome = Partial
	}
	if held { // the rest went on
		m.result.Outcome = Held
	}
}

// sealed verifies the committed generation unless that was done; regions only
// ever get a sealed one, so an unsealed tree leaves them with the one before.
func (m *mirror) sealed(ctx workflow.Context) bool {
	if m.opened.Committed > m.opened.Sealed || m.in.Scrub {
		m.stage(ctx, "verify")
		v, err := verify(ctx, m.queue, activities.VerifyInput{Target: m.in.Target, Epoch: m.opened.Epoch, Number: m.opened.Committed, Full: m.in.Scrub,
			Regions: m.in.Regions})
		m.result.Mended = append(m.result.Mended, v.Mended...)
		if err == nil && !v.Sealed {
			err = temporal.NewNonRetryableApplicationError(fmt.Sprintf("verify: generation %d: %d problems, first: %s", v.Number, len(v.Problems), first(v.Problems)),
				string(fault.Corrupt), nil)
		}
		if !m.failed(err) {
			m.result.Generation = v.Number
		}
	}
	return m.result.Generation > 0 && !m.fenced()
}

// release shows every region's outcome as soon as it is known.
func (m *mirror) release(ctx workflow.Context) {
	m.stage(ctx, "release")
	m.result.Regions = releaseAll(ctx, m.in, m.opened.Tree, m.result.Generation, func(soFar []RegionResult) {
		if m.progress.Stage == "release" { // who is late changes nothing any more
			m.result.Regions = soFar
			m.show(ctx)
		}
	})
	for _, r := range m.result.Regions {
		if r.Reaped == nil {
			continue
		}
		for _, p := range r.Reaped.Mended {
			m.result.Mended = append(m.result.Mended, p+" in region "+r.Region)
		}
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func (m *mirror) tend(ctx workflow.Context) {
	in := activities.TendInput{Target: m.in.Target, Epoch: m.opened.Epoch, Plan: m.keepPlan(), Regions: m.in.Regions}
	t, err := tend(ctx, m.queue, in)
	if err == nil {
		m.result.Tended = &t
		m.result.Mended = append(m.result.Mended, t.Mended...)
		if len(t.Problems) == 0 {
			return
		}
		err = temporal.NewNonRetryableApplicationError(fmt.Sprintf("verify: scrub found %d damaged files, first: %s", len(t.Problems), t.Problems[0]),
			string(fault.Corrupt), nil)
	}
	if m.result.Error == "" { // what went wrong before matters more
		m.failed(err)
	}
}

// keepPlan is the plan that a person may still approve.
func (m *mirror) keepPlan() string {
	if m.result.Outcome == Held {
		return m.result.Plan
	}
	return ""
}

// failed notes the first error of the run and reports whether there was one.
func (m *mirror) failed(err error) bool {
	if err == nil {
		return false
	}
	m.result.FaultKind, m.result.Error = activities.FaultOf(err)
	m.result.Outcome = Failed
	return true
}

// listen answers questions and requests from outside while the mirror runs.
func (m *mirror) listen(ctx workflow.Context) error {
	mark(ctx, attrMirror.ValueSet(m.result.Mirror), attrKind.ValueSet(string(m.result.Kind)))
	if err := workflow.SetQueryHandler(ctx, "progress", func() (Progress, error) { return m.progress, nil }); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, "hold", func(_ workflow.Context, reason string) (string, error) {
		m.stop = reason
		return "this run will not commit; the next cycle plans anew", nil
	}, workflow.UpdateHandlerOptions{
		Description: "stop this run before it commits; the argument is the reason",
		Validator: func(reason string) error {
			if reason == "" {
				return fmt.Errorf("a reason is needed")
			}
			if !slices.Contains([]string{"", "open", "plan", "fetch"}, m.progress.Stage) {
				return fmt.Errorf("this run is past the point where it can be stopped; starter hold stops the next one")
			}
			return nil
		},
	})
}

func (m *mirror) stage(ctx workflow.Context, name string) {
	m.progress.Stage, m.progress.Generation = name, m.result.Generation
	m.show(ctx)
}

func (m *mirror) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, mirrorDetails(m.result, m.progress, m.opened.Committed))
}

func (m *mirror) end(ctx workflow.Context) {
	m.stage(ctx, "end")
	mark(ctx, attrGeneration.ValueSet(m.result.Generation), attrOutcome.ValueSet(string(m.result.Outcome)))
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}
