package main

import (
	"context"
	"io"
	"os"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"mirrorcycle/activities"
	"mirrorcycle/internal/console"
	"mirrorcycle/internal/service"
	"mirrorcycle/workflows"
)

// refresh is how often the screen is brought up to date.
const refresh = 500 * time.Millisecond

// progressTo shows progress on w, or nothing where JSON is wanted.
func progressTo(w io.Writer, asJSON bool) *console.Display {
	if asJSON {
		w = io.Discard
	}
	f, ok := w.(*os.File)
	return console.New(w, console.Options{Terminal: ok && console.IsTerminal(f), Color: os.Getenv("NO_COLOR") == ""})
}

// follow shows a cycle's progress until it ends. Interrupted, it leaves the
// cycle running. A question that nobody answers must not stop the clock, so
// questions are asked beside it.
func follow(ctx context.Context, t client.Client, run client.WorkflowRun, d *console.Display) (workflows.CycleResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	var result workflows.CycleResult
	go func() { done <- run.Get(ctx, &result) }()
	seen := make(chan []console.Mirror)
	go func() {
		for ctx.Err() == nil {
			select {
			case seen <- look(ctx, t, run):
			case <-ctx.Done():
			}
		}
	}()
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	d.Update(nil)
	for {
		select {
		case err := <-done:
			if err != nil {
				return result, failure(err)
			}
			d.Finish(rows(result, nil))
			return result, nil
		case <-tick.C:
			select {
			case mirrors := <-seen:
				d.Update(mirrors)
			default:
				d.Update(nil)
			}
		}
	}
}

// look asks the cycle and its running mirrors how far they are. What cannot be
// answered now is answered at the next look.
func look(ctx context.Context, t client.Client, run client.WorkflowRun) []console.Mirror {
	var result workflows.CycleResult
	if v, err := t.QueryWorkflow(ctx, run.GetID(), run.GetRunID(), "progress"); err != nil || v.Get(&result) != nil {
		return nil
	}
	running := map[string]workflows.Progress{}
	d, err := t.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
	if err != nil {
		return nil
	}
	for _, child := range d.PendingChildren {
		if p, ok := lookMirror(ctx, t, child.WorkflowId); ok {
			running[p.Mirror] = p
		}
	}
	return rows(result, running)
}

// lookMirror asks what a mirror of the cycle does, and, while its tree is
// refreshed, how far that is with what its running shards say.
func lookMirror(ctx context.Context, t client.Client, id string) (workflows.Progress, bool) {
	var p workflows.Progress
	if v, err := t.QueryWorkflow(ctx, id, "", "progress"); err != nil || v.Get(&p) != nil {
		return p, false
	}
	if p.Stage != "refresh" || p.Tree == "" {
		return p, true
	}
	refresh := workflows.RefreshID(p.Tree)
	if v, err := t.QueryWorkflow(ctx, refresh, "", "progress"); err != nil || v.Get(&p) != nil {
		return p, true
	}
	d, err := t.DescribeWorkflowExecution(ctx, refresh, "")
	if err != nil {
		return p, true
	}
	objects, bytes := beats(d)
	p.DoneObjects += objects
	p.DoneBytes += bytes
	return p, true
}

func beats(d *workflowservice.DescribeWorkflowExecutionResponse) (objects, bytes int64) {
	for _, a := range d.PendingActivities {
		if a.GetActivityType().GetName() != "Fetch" || a.GetHeartbeatDetails() == nil {
			continue
		}
		var beat activities.Progress
		if service.Decode(a.HeartbeatDetails, &beat) == nil {
			objects += beat.Objects
			bytes += beat.Bytes
		}
	}
	return objects, bytes
}

// rows makes the display's rows of a result and of what still runs.
func rows(r workflows.CycleResult, running map[string]workflows.Progress) []console.Mirror {
	var out []console.Mirror
	for _, m := range r.Mirrors {
		row := console.Mirror{Name: m.Mirror, Stage: string(m.Outcome), Ended: m.Outcome != workflows.Late}
		if p, ok := running[m.Mirror]; ok {
			row = console.Mirror{Name: m.Mirror, Stage: p.Stage, Objects: p.Objects, Bytes: p.Bytes, DoneObjects: p.DoneObjects, DoneBytes: p.DoneBytes}
		} else if !row.Ended {
			row.Stage = "starting"
		}
		if m.Info != nil && m.Changes != nil { // a plan that was only made has nothing done
			row.Objects, row.DoneObjects, row.Bytes, row.DoneBytes = m.Info.Objects, m.Info.Objects, m.Info.Bytes, m.Info.Bytes
		}
		out = append(out, row)
	}
	return out
}
