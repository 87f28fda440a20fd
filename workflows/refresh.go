package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Refresh brings one tree from its upstream to the next sealed generation. It
// may take days. What clients read goes on meanwhile: Serve does not wait for it.
func Refresh(ctx workflow.Context, in RefreshInput) (MirrorResult, error) {
	m := refresh{in: in, queue: SyncQueue(in.Target.Storage.Name)}
	m.result = MirrorResult{Mirror: in.Target.Mirror.Name, Kind: in.Target.Mirror.Kind, Outcome: Unchanged}
	m.progress.Mirror, m.progress.Tree = in.Target.Mirror.Name, in.Tree
	if err := m.listen(ctx); err != nil {
		return m.result, err
	}
	m.run(ctx)
	m.hearLast(ctx)
	if m.again != nil && ctx.Err() == nil {
		return m.result, workflow.NewContinueAsNewError(ctx, Refresh, *m.again)
	}
	return m.result, ctx.Err()
}

// refresh is one run. Whatever goes wrong on the way to a new generation ends
// up in the result; what is due in the tree is deleted regardless.
type refresh struct {
	in       RefreshInput
	queue    string
	opened   activities.Opened
	result   MirrorResult
	progress Progress
	stop     string              // why a person asked this run not to commit
	order    *Order              // what a person wants instead
	work     workflow.Context    // of the steps that can be broken off
	sure     workflow.Context    // of those that a cancelled run finishes, too
	quit     workflow.CancelFunc // breaks them off
	again    *RefreshInput       // how it goes on in a new run
}

func (m *refresh) run(ctx workflow.Context) {
	m.work, m.quit = workflow.WithCancel(ctx)
	m.sure, _ = workflow.NewDisconnectedContext(ctx)
	if !m.begin(ctx) {
		m.end(ctx)
		return
	}
	m.advance(ctx)
	if m.again != nil {
		return
	}
	if m.in.DryRun || m.fenced() || m.ordered() {
		m.end(ctx)
		return
	}
	m.work, m.quit = workflow.WithCancel(m.sure) // a hold has no say in the rest
	if m.sealed(ctx) && !m.ordered() {
		m.serve(m.sure)
	}
	if !m.ordered() {
		m.stage(ctx, "tend")
		m.tend(m.work)
	}
	if m.nextStep(); m.again == nil {
		m.whole()
	}
	m.end(ctx)
}

func (m *refresh) fenced() bool { return m.result.FaultKind == string(fault.Fenced) }

// ordered reports whether a person wants something else, which begins anew.
func (m *refresh) ordered() bool { return m.order != nil }

// begin opens the tree, or goes on where an earlier run left off.
func (m *refresh) begin(ctx workflow.Context) bool {
	if g := m.in.Going; g != nil {
		m.opened, m.result, m.progress, m.stop = g.Opened, g.Result, g.Progress, g.Stop
		m.result.Replaced = m.in.Replaced
		return true
	}
	m.before()
	m.stage(ctx, "open")
	var err error
	m.opened, err = open(ctx, m.queue, activities.OpenInput{Target: m.in.Target, Regions: m.in.Regions})
	m.result.Generation = m.opened.Sealed
	return !m.failed(err)
}

// advance makes the next generation, if there is one to make.
func (m *refresh) advance(ctx workflow.Context) {
	if m.in.Order.Rollback > 0 {
		m.stage(ctx, "roll back")
		c, err := rollback(m.sure, m.queue, activities.RollbackInput{Target: m.in.Target, Epoch: m.opened.Epoch, To: m.in.Order.Rollback,
			From: m.opened.Committed, Above: m.opened.Above})
		m.committed(c, err)
		return
	}
	if m.opened.Hold != "" && m.in.Order.Approved == "" {
		m.result.Outcome, m.result.Reasons = OnHold, []string{m.opened.Hold}
		return
	}
	p, ok := m.plan(ctx)
	if !ok || m.stopped() || !m.fetch(ctx, p) || m.stopped() {
		return
	}
	m.stage(ctx, "commit")
	c, err := commit(m.sure, m.queue, activities.CommitInput{Target: m.in.Target, Epoch: m.opened.Epoch, Plan: p.Digest, Above: m.opened.Above,
		Hold: m.opened.Hold})
	m.committed(c, err)
}

// plan asks upstream and guards the answer; ok means there is something to fetch and commit.
func (m *refresh) plan(ctx workflow.Context) (p activities.Planned, ok bool) {
	if m.in.Going != nil {
		return m.in.Going.Planned, true
	}
	m.stage(ctx, "plan")
	p, err := plan(m.work, m.queue, activities.PlanInput{Target: m.in.Target, Epoch: m.opened.Epoch, Approved: m.in.Order.Approved, Whole: m.in.DryRun})
	if m.stopped() || m.failed(err) {
		return p, false
	}
	m.result.Deferred = p.Info.Deferred
	if news(p.Info.Deferred) {
		m.result.Outcome = Partial
	}
	if p.Digest == "" {
		return p, false
	}
	p.Info.Deferred = nil // the result has them already
	info := p.Info
	m.result.Plan, m.result.Info = p.Digest, &info
	if reasons := activities.Guard(m.in.Target.Mirror.Guard, p.Info); len(reasons) > 0 && !p.Approved {
		m.result.Outcome, m.result.Reasons = Held, reasons
		return m.rest()
	}
	if m.in.DryRun {
		m.result.Outcome = Planned
		return p, false
	}
	m.ahead(p.Info)
	return p, true
}

func (m *refresh) ahead(info tree.PlanInfo) {
	m.progress.Objects, m.progress.Bytes, m.progress.Shards = info.Objects, info.Bytes, info.Shards
	m.progress.Left = info.Left
	if info.Left > 0 {
		m.progress.Step = max(m.progress.Step, 1)
	}
}

// rest plans what a held plan has besides removals: of a PyPI mirror each project
// stands for itself.
func (m *refresh) rest() (p activities.Planned, ok bool) {
	if m.in.Target.Mirror.Kind != mirrorspec.PyPI || m.in.DryRun {
		return p, false
	}
	p, err := plan(m.work, m.queue, activities.PlanInput{Target: m.in.Target, Epoch: m.opened.Epoch, Spare: true})
	if m.stopped() || err != nil || p.Digest == "" || len(activities.Guard(m.in.Target.Mirror.Guard, p.Info)) > 0 {
		return p, false // the plan that is held is what there is to tell
	}
	p.Info.Deferred = nil
	m.ahead(p.Info)
	return p, true
}

// stopped reports whether a person stopped this run, and says so in the result.
func (m *refresh) stopped() bool {
	if m.stop != "" {
		m.result.Outcome, m.result.Reasons = OnHold, []string{m.stop}
	}
	return m.stop != "" || m.ordered()
}

func (m *refresh) committed(c activities.Committed, err error) {
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
		m.result.Outcome, m.result.Changes = Done, m.together(&c.Changes)
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
func (m *refresh) sealed(ctx workflow.Context) bool {
	if m.opened.Committed > m.opened.Sealed {
		m.stage(ctx, "verify")
		v, err := m.verify()
		if err == nil && !v.Sealed && v.Holdable > 0 && m.holdUnits(v.Number) {
			v, err = m.verify()
		}
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

func (m *refresh) verify() (activities.Verified, error) {
	v, err := verify(m.work, m.queue, activities.VerifyInput{Target: m.in.Target, Epoch: m.opened.Epoch, Number: m.opened.Committed, Regions: m.in.Regions})
	m.result.Mended = append(m.result.Mended, v.Mended...)
	return v, err
}

// holdUnits has the projects that alone do not verify stay as they were, and
// reports whether there is a generation without them.
func (m *refresh) holdUnits(number int64) bool {
	c, err := holdUnits(m.work, m.queue, activities.VerifyInput{Target: m.in.Target, Epoch: m.opened.Epoch, Number: number})
	if err != nil {
		return false // what verification said matters more
	}
	if m.opened.Epoch = c.Epoch; c.Number <= number {
		return false
	}
	m.committed(c, nil)
	return true
}

// serve lets regions have what was sealed, where no cycle does.
func (m *refresh) serve(ctx workflow.Context) {
	wait := time.Duration(m.in.Order.ReleaseWait)
	switch {
	case wait > 0:
		m.stage(ctx, "release")
		all := groups(m.in.Target, m.in.Regions)
		got := make([][]RegionResult, len(all))
		wg := workflow.NewWaitGroup(ctx)
		for i, g := range all {
			wg.Go(ctx, func(ctx workflow.Context) {
				serveGroup(ctx, ServeInput{Target: m.in.Target, Tree: m.in.Tree, Regions: g}, wait, func(rs []RegionResult) {
					got[i] = rs
					m.result.Regions = slices.Concat(got...)
					m.show(ctx)
				})
			})
		}
		wg.Wait(ctx)
		m.result.Mended = append(m.result.Mended, mendedIn(m.result.Regions)...)
	case m.result.Generation > m.opened.Sealed:
		m.announce(ctx)
	}
}

// announce lets regions have what was sealed before the tree is tended, which
// may take hours: through its cycle while that waits, else by itself.
func (m *refresh) announce(ctx workflow.Context) {
	if p := workflow.GetInfo(ctx).ParentWorkflowExecution; p != nil && workflow.Now(ctx).Add(margin).Before(m.in.Ends) {
		if workflow.SignalExternalWorkflow(ctx, p.ID, p.RunID, signalSealed, m.result.Generation).Get(ctx, nil) == nil {
			return
		}
	}
	handOver(ctx, m.in.Target, m.in.Tree, m.in.Regions)
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func (m *refresh) tend(ctx workflow.Context) {
	t, err := tend(ctx, m.queue, activities.TendInput{Target: m.in.Target, Epoch: m.opened.Epoch, Plan: m.keepPlan(), Open: m.undecided(), Regions: m.in.Regions})
	if err == nil {
		m.result.Tended, m.result.Missing, m.result.Refused = &t, t.Missing, t.Refused
		m.result.Mended = append(m.result.Mended, t.Mended...)
		if len(t.Problems) == 0 {
			return
		}
		err = temporal.NewNonRetryableApplicationError(fmt.Sprintf("verify: scrub found %d damaged files, first: %s", len(t.Problems), t.Problems[0]),
			string(fault.Corrupt), nil)
	}
	if m.result.Error == "" && !m.ordered() { // what went wrong before matters more
		m.failed(err)
	}
}

// keepPlan is the plan that a person may still approve.
func (m *refresh) keepPlan() string {
	if m.result.Outcome == Held {
		return m.result.Plan
	}
	return ""
}

// undecided reports whether the run says nothing on what a person may have been
// asked before: it came to no plan of its own that went on.
func (m *refresh) undecided() bool {
	return m.result.Outcome == Held || m.result.Outcome == Failed || m.result.Outcome == OnHold
}

// failed notes the first error of the run and reports whether there was one.
func (m *refresh) failed(err error) bool {
	if err == nil {
		return false
	}
	m.result.FaultKind, m.result.Error = activities.FaultOf(err)
	m.result.Outcome = Failed
	return true
}

func (m *refresh) stage(ctx workflow.Context, name string) {
	m.progress.Stage, m.progress.Generation = name, m.result.Generation
	m.show(ctx)
}

func (m *refresh) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, mirrorDetails(m.result, m.progress, m.opened.Committed))
}

func (m *refresh) end(ctx workflow.Context) {
	m.stage(ctx, "end")
	mark(ctx, attrGeneration.ValueSet(m.result.Generation), attrOutcome.ValueSet(string(m.result.Outcome)))
	_ = workflow.Await(m.sure, func() bool { return workflow.AllHandlersFinished(ctx) })
}
