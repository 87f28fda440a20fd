package activities

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"mirrorcycle/internal/span"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// requests is how many unremarkable HTTP requests of a step a trace shows.
const requests = 100

// begin starts a step of a mirror in the trace.
func begin(ctx context.Context, name string, m mirrorspec.Mirror, more ...attribute.KeyValue) (context.Context, func(error)) {
	return span.Start(span.Limit(ctx, requests), name, append(ofMirror(m), more...)...)
}

func ofMirror(m mirrorspec.Mirror) []attribute.KeyValue {
	return []attribute.KeyValue{span.Mirror.String(m.Name), span.Kind.String(string(m.Kind))}
}

// seen is an engine whose steps are seen in the trace.
type seen struct {
	Engine
	mirror mirrorspec.Mirror
}

func (s seen) Plan(ctx context.Context, t *tree.Tree) (digest string, info tree.PlanInfo, err error) {
	ctx, end := begin(ctx, "plan", s.mirror)
	defer func() { end(err) }()
	return s.Engine.Plan(ctx, t)
}

func (s seen) Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (req tree.CommitRequest, notes []tree.Note, err error) {
	ctx, end := begin(ctx, "settle", s.mirror)
	defer func() { end(err) }()
	return s.Engine.Settle(ctx, t, p)
}

// countFetched counts what became of a shard.
func countFetched(ctx context.Context, m mirrorspec.Mirror, f Fetched) {
	attrs := ofMirror(m)
	telemetry.FetchedObjects.Add(ctx, f.Objects, attrs...)
	telemetry.FetchedBytes.Add(ctx, f.Downloaded, attrs...)
	telemetry.FetchFailures.Add(ctx, f.Failed, attrs...)
}

func countCommitted(ctx context.Context, m mirrorspec.Mirror, c tree.Changes) {
	telemetry.Added.Add(ctx, c.Added, ofMirror(m)...)
	telemetry.Dropped.Add(ctx, c.Dropped, ofMirror(m)...)
}

// countReaped counts what was deleted in a region, or in the tree if region is "".
func countReaped(ctx context.Context, m mirrorspec.Mirror, region string, r tree.Reaped) {
	attrs := ofMirror(m)
	if region != "" {
		attrs = append(attrs, span.Region.String(region))
	}
	telemetry.ReapedObjects.Add(ctx, r.Objects, attrs...)
	telemetry.ReapedBytes.Add(ctx, r.Bytes, attrs...)
}

// countPublished notes how long it took to publish something new, or to fail.
func countPublished(ctx context.Context, m mirrorspec.Mirror, start time.Time, outcomes ...Outcome) {
	for _, o := range outcomes {
		outcome := "done"
		switch {
		case o.Error != "":
			outcome = "failed"
		case !o.Changed:
			continue
		}
		telemetry.PublishTime.Record(ctx, time.Since(start), append(ofMirror(m), span.Region.String(o.Region), span.Outcome.String(outcome))...)
	}
}
