package mirror

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// requests is how many unremarkable HTTP requests of a step a trace shows.
const requests = 100

// Begin starts a step of a mirror in the trace.
func Begin(ctx context.Context, name string, m mirrorspec.Mirror, more ...attribute.KeyValue) (context.Context, func(error)) {
	return span.Start(span.Limit(ctx, requests), name, append(Attributes(m), more...)...)
}

// Attributes name a mirror in traces and metrics.
func Attributes(m mirrorspec.Mirror) []attribute.KeyValue {
	return []attribute.KeyValue{span.Mirror.String(m.Name), span.Kind.String(string(m.Kind))}
}

func (m *Mirror) begin(ctx context.Context, name string, more ...attribute.KeyValue) (context.Context, func(error)) {
	return Begin(ctx, name, m.Mirror, more...)
}

func (m *Mirror) attributes() []attribute.KeyValue { return Attributes(m.Mirror) }

// countFetched counts what became of a shard.
func (m *Mirror) countFetched(ctx context.Context, f Fetched) {
	attrs := m.attributes()
	telemetry.FetchedObjects.Add(ctx, f.Objects, attrs...)
	telemetry.FetchedBytes.Add(ctx, f.Downloaded, attrs...)
	telemetry.FetchFailures.Add(ctx, f.Failed, attrs...)
}

func (m *Mirror) countCommitted(ctx context.Context, c tree.Changes) {
	telemetry.Added.Add(ctx, c.Added, m.attributes()...)
	telemetry.Dropped.Add(ctx, c.Dropped, m.attributes()...)
}

// CountReaped counts what was deleted in a region, or in the tree if region is "".
func CountReaped(ctx context.Context, m mirrorspec.Mirror, region string, r tree.Reaped) {
	attrs := Attributes(m)
	if region != "" {
		attrs = append(attrs, span.Region.String(region))
	}
	telemetry.ReapedObjects.Add(ctx, r.Objects, attrs...)
	telemetry.ReapedBytes.Add(ctx, r.Bytes, attrs...)
}

// CountPublished notes how long it took to publish something new, or to fail.
func CountPublished(ctx context.Context, m mirrorspec.Mirror, start time.Time, outcomes ...backend.Outcome) {
	for _, o := range outcomes {
		outcome := "done"
		switch {
		case o.Error != "":
			outcome = "failed"
		case !o.Changed:
			continue
		}
		telemetry.PublishTime.Record(ctx, time.Since(start), append(Attributes(m), span.Region.String(o.Region), span.Outcome.String(outcome))...)
	}
}
