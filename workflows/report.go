package workflows

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/site"
)

// ReportResult is what became of a cycle's report. It changes no outcome.
type ReportResult struct {
	Due       int    `json:"due,omitempty"` // notices
	FaultKind string `json:"fault_kind,omitempty"`
	Error     string `json:"error,omitempty"`
}

// report has the storage's workers write down how things stand. What is due to
// be told is told by a child that nobody waits for.
func (c *cycle) report(ctx workflow.Context) {
	if c.in.DryRun {
		return
	}
	in := activities.ReportInput{Targets: briefs(Targets(c.in.Spec, nil)), Status: siteStatus(c.in.Spec, c.result), Notify: c.in.Spec.Notify}
	started := workflow.GetInfo(ctx).WorkflowStartTime
	in.Status.Cycles = []site.Cycle{{Started: started.UTC(), Seconds: workflow.Now(ctx).Sub(started).Round(time.Millisecond).Seconds(), Outcome: string(c.result.Outcome)}}
	for _, m := range c.result.Mirrors {
		in.Details = append(in.Details, detailOf(m))
	}
	queue := SyncQueue(c.in.Spec.Storage.Name)
	got, err := report(within(ctx, c.ends.report), queue, in)
	c.result.Report = &ReportResult{Due: got.Due}
	if err != nil {
		c.result.Report.FaultKind, c.result.Report.Error = activities.FaultOf(err)
	}
	if got.Due == 0 || in.Notify == nil {
		return
	}
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: NotifyID(c.in.Spec.Cycle.Name), TaskQueue: Queue,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON, StaticSummary: "tell what changed in " + c.in.Spec.Cycle.Name})
	f := workflow.ExecuteChildWorkflow(child, Notify, NotifyInput{Queue: queue,
		NotifyInput: activities.NotifyInput{State: c.in.Spec.Storage.State, Cycle: c.in.Spec.Cycle.Name, Notify: *in.Notify}})
	// One that runs already takes the new changes along with its next attempt, or the next cycle does.
	_ = f.GetChildWorkflowExecution().Get(ctx, nil)
}

// detailOf is what the status page does not say of a mirror.
func detailOf(m MirrorResult) activities.MirrorDetail {
	d := activities.MirrorDetail{Mirror: m.Mirror, Missing: -1}
	switch {
	case m.Info != nil:
		d.Missing = m.Info.Adds
		if m.Changes != nil {
			d.Missing = max(m.Info.Adds-m.Changes.Added, 0)
		}
	case m.Outcome == Unchanged || m.Outcome == Done:
		d.Missing = 0
	}
	for _, w := range m.Wheels {
		if d.Wheels == nil {
			d.Wheels = map[string]map[string]int{}
		}
		d.Wheels[w.Platform] = w.States
	}
	return d
}

// NotifyInput is whom to tell, by the workers of a queue.
type NotifyInput struct {
	activities.NotifyInput
	Queue string `json:"queue"`
}

// Notify tells a webhook what changed, with patience.
func Notify(ctx workflow.Context, in NotifyInput) (activities.Notified, error) {
	return notify(ctx, in.Queue, in.NotifyInput)
}
