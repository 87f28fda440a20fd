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
)

// Wheels builds what one platform lacks: several at a time, each taken in as
// soon as it is there. It ends when nothing is left to build, or nobody can.
func Wheels(ctx workflow.Context, in WheelsInput) (WheelsResult, error) {
	w := builds{in: in, sync: SyncQueue(in.Target.Storage.Name), hosts: WheelsQueue(in.Platform.Name), result: in.SoFar, alone: in.Alone}
	w.result.Platform, w.result.Outcome = in.Platform.Name, Unchanged
	mark(ctx, attrMirror.ValueSet(in.Target.Mirror.Name))
	if err := workflow.SetQueryHandler(ctx, "progress", func() (WheelsResult, error) { return w.result, nil }); err != nil {
		return w.result, err
	}
	w.show(ctx, true)
	again := w.run(ctx)
	w.show(ctx, again)
	if again {
		in.SoFar, in.Alone = w.result, w.alone
		return w.result, workflow.NewContinueAsNewError(ctx, Wheels, in)
	}
	mark(ctx, attrOutcome.ValueSet(string(w.result.Outcome)))
	return w.result, nil
}

// builds is one run.
type builds struct {
	in          WheelsInput
	sync, hosts string // queues
	facts       activities.Facts
	result      WheelsResult
	alone       bool // waits no longer for other platforms
	failed      error
}

const (
	// buildsPerRun bounds a run's history; a build has some 13 events.
	buildsPerRun = 500
	// look is how often a platform that has nothing left to build looks whether
	// another one has built what it waits for, and patience how often without any change.
	look, patience = 5 * time.Second, 60
)

// run reports whether it has to go on in a new run.
func (w *builds) run(ctx workflow.Context) (again bool) {
	var err error
	step := "Describe"
	if w.in.Look {
		step = "Look"
	}
	w.facts, err = describe(ctx, step, w.hosts, activities.PlatformInput{Target: w.in.Target, Platform: w.in.Platform})
	if w.in.Look && unattended(err) || w.note(err) {
		return false // where nothing is to be built, nobody need be there who builds
	}
	left := patience
	for n, waited := 0, -1; ; {
		p, err := wheelPlan(ctx, w.sync, activities.WheelPlanInput{Target: w.in.Target, Platform: w.in.Platform.Name, Facts: &w.facts, Alone: w.alone})
		if w.note(err) {
			return false
		}
		w.result.Builds, w.result.Waiting, w.result.States = p.Builds, p.Waiting, p.States
		w.show(ctx, true)
		switch {
		case p.Builds > 0:
			done := w.result.Built + w.result.Failed
			n += w.window(ctx, p, buildsPerRun-n)
			if w.failed != nil || done == w.result.Built+w.result.Failed {
				w.note(w.failed)
				return false
			}
			left, waited = patience, -1
		case p.Waiting == 0:
			return false
		default:
			if left--; p.Waiting != waited {
				left = patience
			}
			if waited = p.Waiting; left == 0 {
				w.alone = true
				continue
			}
			if err := workflow.NewTimerWithOptions(ctx, look, workflow.TimerOptions{Summary: "another platform builds these first"}).Get(ctx, nil); err != nil {
				return false
			}
		}
		if n >= buildsPerRun || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return true
		}
	}
}

// window makes up to limit builds of a plan, as many at a time as the spec
// says, and returns how many it made.
func (w *builds) window(ctx workflow.Context, p activities.WheelPlanned, limit int) int {
	limit = min(limit, p.Builds)
	next, running := 0, 0
	done := workflow.NewNamedChannel(ctx, "builds")
	for next < limit || running > 0 {
		if next < limit && running < max(w.in.Target.Mirror.Builds, 1) && w.failed == nil && !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			job := next
			next++
			running++
			workflow.GoNamed(ctx, fmt.Sprintf("build %d", job), func(ctx workflow.Context) {
				w.one(ctx, p, job)
				done.Send(ctx, job)
			})
			continue
		}
		if running == 0 {
			break
		}
		done.Receive(ctx, nil)
		running--
		w.show(ctx, true)
	}
	return next
}

// one makes one build and takes it in.
func (w *builds) one(ctx workflow.Context, p activities.WheelPlanned, job int) {
	t, platform := w.in.Target, w.in.Platform.Name
	attempt := fmt.Sprintf("%s-%.16s-%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, p.Digest, job)
	d, err := buildWheel(ctx, w.hosts, t.Mirror.BuildTimeout, fmt.Sprintf("build %d of %d", job+1, p.Builds),
		activities.BuildInput{Target: t, Platform: w.in.Platform, Facts: w.facts, Plan: p.Digest, Job: job, Attempt: attempt})
	switch {
	case err != nil:
		if !perished(err) {
			w.failed = err
			return
		}
		// Whoever builds it is gone each time: that is this build's fault, and no other's.
		_, text := activities.FaultOf(err)
		d = activities.Delivered{Attempt: attempt, Class: Perished, Message: text}
	case !d.Issued(attempt):
		d = activities.Delivered{Attempt: attempt, Class: string(fault.Hostile), Message: "the build worker answered for another attempt: look at it, or update it"}
	}
	got, err := ingest(ctx, w.sync, activities.IngestInput{Target: t, Platform: platform, Plan: p.Digest, Job: job, Delivered: d})
	switch {
	case err != nil:
		w.failed = err
	case got.Class == "":
		w.result.Built++
	default:
		w.result.Failed++
		if got.Known {
			w.result.Known++
		}
	}
	w.result.Builds--
}

// Perished is the class of a build whose worker did not come back from it, in every attempt.
const Perished = "perished"

// perished tells a build that took its worker along from one that no worker took on.
func perished(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() != enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

// unattended tells that no worker took a step on.
func unattended(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

// note keeps the first error of the run and reports whether there is one now.
func (w *builds) note(err error) bool {
	if err != nil && w.result.Error == "" {
		w.result.FaultKind, w.result.Error = activities.FaultOf(err)
	}
	switch {
	case w.result.Error != "":
		w.result.Outcome = Failed
	case w.result.Failed > w.result.Known:
		w.result.Outcome = Partial
	case w.result.Built > 0:
		w.result.Outcome = Done
	}
	return err != nil
}

func (w *builds) show(ctx workflow.Context, running bool) {
	w.note(nil)
	shown := w.result
	if running {
		shown.Outcome = Late
	}
	workflow.SetCurrentDetails(ctx, item(shown.Platform, builtSoFar(shown, running)))
}
