package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/mirror"
)

// Builder builds wheels on this host.
type Builder = mirror.Builder

// Sandboxed is the Builder that builds in the sandboxes of this host.
type Sandboxed = mirror.Sandboxed

// Require brings what is wanted of a wheels mirror up to date.
func (s *Sync) Require(ctx context.Context, in RequireInput) (Required, error) {
	ctx, beat, stop := alive(ctx)
	defer stop()
	out, err := s.of(ctx, in.Target, beat).Require(ctx)
	return out, translate(err)
}

// WheelPlan lists the wheels to build for a platform.
func (s *Sync) WheelPlan(ctx context.Context, in WheelPlanInput) (WheelPlanned, error) {
	_, _, stop := alive(ctx)
	defer stop()
	out, err := mirror.WheelPlan(in)
	return out, translate(err)
}

// Ingest proves and keeps what a build delivered, and records what became of it.
func (s *Sync) Ingest(ctx context.Context, in IngestInput) (Ingested, error) {
	_, _, stop := alive(ctx)
	defer stop()
	out, err := mirror.Ingest(in)
	return out, translate(err)
}

// Wheels holds the activities of the role wheels:<platform>.
type Wheels mirror.Bench

// Describe says what the platform's root is.
func (w *Wheels) Describe(ctx context.Context, in PlatformInput) (Facts, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	p, err := w.Builder.Describe(ctx, in.Platform, in.Target.Mirror.Sandbox)
	return Facts(p), translate(err)
}

// BuildWheel builds one wheel into an inbox of this attempt's own. It writes nowhere else.
func (w *Wheels) BuildWheel(ctx context.Context, in BuildInput) (Delivered, error) {
	info := activity.GetInfo(ctx)
	ctx, _, stop := alive(ctx)
	defer stop()
	if in.Attempt == "" { // of a workflow of an earlier version
		in.Attempt = info.WorkflowExecution.RunID + "-" + info.ActivityID
	}
	out, err := mirror.Bench(*w).Build(ctx, in, fmt.Sprintf("%s-%d", in.Attempt, info.Attempt))
	return out, translate(err)
}
