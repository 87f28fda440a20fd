package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// The activities by the names under which they are registered. A nil receiver
// is enough: only the method's name is taken from it.
var (
	syncs   *activities.Sync
	regions *activities.Regions
	wheels  *activities.Wheels
)

// call runs one activity and returns its typed result.
func call[Out any](ctx workflow.Context, activity, input any) (Out, error) {
	var out Out
	err := workflow.ExecuteActivity(ctx, activity, input).Get(ctx, &out)
	return out, err
}

func identify(ctx workflow.Context, queue string, in activities.Target) (activities.Identified, error) {
	return call[activities.Identified](options(ctx, "Identify", queue, "read which tree it is"), syncs.Identify, in)
}

func open(ctx workflow.Context, queue string, in activities.OpenInput) (activities.Opened, error) {
	return call[activities.Opened](options(ctx, "Open", queue, "take the lease"), syncs.Open, in)
}

func plan(ctx workflow.Context, queue string, in activities.PlanInput) (activities.Planned, error) {
	return call[activities.Planned](options(ctx, "Plan", queue, "ask upstream what changed"), syncs.Plan, in)
}

func fetchShard(ctx workflow.Context, queue, summary string, in activities.FetchInput) (activities.Fetched, error) {
	return call[activities.Fetched](options(ctx, "Fetch", queue, summary), syncs.Fetch, in)
}

func commit(ctx workflow.Context, queue string, in activities.CommitInput) (activities.Committed, error) {
	return call[activities.Committed](options(ctx, "Commit", queue, "commit the generation"), syncs.Commit, in)
}

func rollback(ctx workflow.Context, queue string, in activities.RollbackInput) (activities.Committed, error) {
	return call[activities.Committed](options(ctx, "Rollback", queue, "commit an old generation anew"), syncs.Rollback, in)
}

func verify(ctx workflow.Context, queue string, in activities.VerifyInput) (activities.Verified, error) {
	return call[activities.Verified](options(ctx, "Verify", queue, "check the tree independently"), syncs.Verify, in)
}

func holdUnits(ctx workflow.Context, queue string, in activities.VerifyInput) (activities.Committed, error) {
	return call[activities.Committed](options(ctx, "HoldUnits", queue, "hold what does not verify"), syncs.HoldUnits, in)
}

func tend(ctx workflow.Context, queue string, in activities.TendInput) (activities.Tended, error) {
	return call[activities.Tended](options(ctx, "Tend", queue, "delete what is due in the tree"), syncs.Tend, in)
}

func survey(ctx workflow.Context, queue string, in activities.SurveyInput) (activities.Surveyed, error) {
	return call[activities.Surveyed](options(ctx, "Survey", queue, "ask the trees for the status page"), syncs.Survey, in)
}

func writeSite(ctx workflow.Context, queue string, in activities.SiteInput) (activities.SiteWritten, error) {
	return call[activities.SiteWritten](options(ctx, "WriteSite", queue, "write the status page of "+in.Region.Name), regions.WriteSite, in)
}

func publish(ctx workflow.Context, queue string, in activities.RegionInput) (activities.Outcome, error) {
	return call[activities.Outcome](options(ctx, "Publish", queue, "publish to "+in.Region.Name), regions.Publish, in)
}

func publishGroup(ctx workflow.Context, queue string, in activities.GroupInput) ([]activities.Outcome, error) {
	return call[[]activities.Outcome](options(ctx, "Publish", queue, "release the volume to all its sites"), regions.PublishGroup, in)
}

func probe(ctx workflow.Context, queue string, in activities.RegionInput) (activities.Probed, error) {
	return call[activities.Probed](options(ctx, "Probe", queue, "read back through "+in.Region.URL), regions.Probe, in)
}

func confirm(ctx workflow.Context, queue string, in activities.RegionInput) error {
	return workflow.ExecuteActivity(options(ctx, "Confirm", queue, "record what "+in.Region.Name+" serves"), regions.Confirm, in).Get(ctx, nil)
}

func reapRegion(ctx workflow.Context, queue string, in activities.RegionInput) (activities.Reaped, error) {
	return call[activities.Reaped](options(ctx, "Reap", queue, "delete what is due in "+in.Region.Name), regions.Reap, in)
}

func require(ctx workflow.Context, queue string, in activities.RequireInput) (activities.Required, error) {
	return call[activities.Required](options(ctx, "Require", queue, "ask what is wanted of "+in.Target.Mirror.Name), syncs.Require, in)
}

func describe(ctx workflow.Context, step, queue string, in activities.PlatformInput) (activities.Facts, error) {
	return call[activities.Facts](options(ctx, step, queue, "ask what "+in.Platform.Name+" is"), wheels.Describe, in)
}

func wheelPlan(ctx workflow.Context, queue string, in activities.WheelPlanInput) (activities.WheelPlanned, error) {
	return call[activities.WheelPlanned](options(ctx, "WheelPlan", queue, "list what to build for "+in.Platform), syncs.WheelPlan, in)
}

func buildWheel(ctx workflow.Context, queue string, limit mirrorspec.Duration, summary string, in activities.BuildInput) (activities.Delivered, error) {
	return call[activities.Delivered](buildOptions(ctx, queue, summary, time.Duration(limit)), wheels.BuildWheel, in)
}

func ingest(ctx workflow.Context, queue string, in activities.IngestInput) (activities.Ingested, error) {
	return call[activities.Ingested](options(ctx, "Ingest", queue, "take a build in"), syncs.Ingest, in)
}

func report(ctx workflow.Context, queue string, in activities.ReportInput) (activities.Reported, error) {
	return call[activities.Reported](options(ctx, "Report", queue, "write down how things stand"), syncs.Report, in)
}

func notify(ctx workflow.Context, queue string, in activities.NotifyInput) (activities.Notified, error) {
	return call[activities.Notified](options(ctx, "Notify", queue, "tell the webhook"), syncs.Notify, in)
}
