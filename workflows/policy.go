package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// budget is how long a step may take and how often it is tried.
type budget struct {
	attempt  time.Duration // one attempt, from start to close
	queue    time.Duration // waiting for a worker with the role
	beat     time.Duration // silence after which an attempt is given up
	attempts int32
}

// budgets is the only table of time budgets. Steps that move bytes have long
// attempts and short heartbeats: what tells a live one from a dead one is the
// heartbeat, not the clock.
var budgets = map[string]budget{
	"Identify":  {attempt: time.Minute, queue: 10 * time.Minute, beat: 0, attempts: 3},
	"Open":      {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 5},
	"Plan":      {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 5},
	"Fetch":     {attempt: 24 * time.Hour, queue: 12 * time.Hour, beat: 20 * time.Second, attempts: 10},
	"Commit":    {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 10},
	"Rollback":  {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 3},
	"HoldUnits": {attempt: 12 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 5},
	"Verify":    {attempt: 12 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 5},
	"Tend":      {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 3},
	"Publish":   {attempt: 12 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 3},
	"Probe":     {attempt: 15 * time.Second, queue: 10 * time.Minute, beat: 10 * time.Second, attempts: 2},
	"Confirm":   {attempt: time.Minute, queue: time.Hour, beat: 0, attempts: 3},
	"Reap":      {attempt: 2 * time.Hour, queue: time.Hour, beat: 20 * time.Second, attempts: 2},
	"Survey":    {attempt: 5 * time.Minute, queue: 2 * time.Minute, beat: 0, attempts: 2},
	"WriteSite": {attempt: time.Minute, queue: time.Minute, beat: 0, attempts: 2},
	"Report":    {attempt: 5 * time.Minute, queue: 2 * time.Minute, beat: 0, attempts: 2},
	"Notify":    {attempt: 2 * time.Minute, queue: time.Hour, beat: 0, attempts: 60},
	"Ask":       {attempt: 12 * time.Hour, queue: 2 * time.Minute, beat: 20 * time.Second, attempts: 2},
	"Require":   {attempt: 30 * time.Minute, queue: time.Hour, beat: 20 * time.Second, attempts: 3},
	"Describe":  {attempt: 2 * time.Minute, queue: 10 * time.Minute, beat: 20 * time.Second, attempts: 3},
	"Look":      {attempt: 2 * time.Minute, queue: time.Minute, beat: 20 * time.Second, attempts: 2},
	"WheelPlan": {attempt: 30 * time.Minute, queue: time.Hour, beat: 20 * time.Second, attempts: 5},
	"Build":     {attempt: 15 * time.Minute, queue: 12 * time.Hour, beat: 20 * time.Second, attempts: 3},
	"Ingest":    {attempt: 30 * time.Minute, queue: time.Hour, beat: 20 * time.Second, attempts: 10},
}

// options are the activity options of a step on a queue.
func options(ctx workflow.Context, step, queue, summary string) workflow.Context {
	b := budgets[step]
	limit, _ := ctx.Value(withinKey{}).(time.Duration)
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              queue,
		ScheduleToCloseTimeout: limit,
		StartToCloseTimeout:    b.attempt,
		ScheduleToStartTimeout: b.queue,
		HeartbeatTimeout:       b.beat,
		Summary:                summary,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2,
			MaximumInterval: time.Minute, MaximumAttempts: b.attempts},
	})
}

type withinKey struct{}

// within gives the activities of ctx no more time than limit, all attempts and
// the wait for a worker together; 0 is what their budgets say.
func within(ctx workflow.Context, limit time.Duration) workflow.Context {
	return workflow.WithValue(ctx, withinKey{}, limit)
}

// buildOptions leave a build its own limit, and then some to notice it.
func buildOptions(ctx workflow.Context, queue, summary string, limit time.Duration) workflow.Context {
	ctx = options(ctx, "Build", queue, summary)
	o := workflow.GetActivityOptions(ctx)
	o.StartToCloseTimeout += limit
	return workflow.WithActivityOptions(ctx, o)
}
