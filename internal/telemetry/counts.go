package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"mirrorcycle/internal/span"
)

// Counter is something that adds up, whichever worker it happens on.
type Counter struct {
	span.Instrument[metric.Int64Counter]
}

func counter(name, unit, about string) *Counter {
	return &Counter{span.Instrument[metric.Int64Counter]{New: func(m metric.Meter) (metric.Int64Counter, error) {
		return m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
	}}}
}

// The counters, with what is counted.
var (
	FetchedObjects = counter("mirrorcycle.fetched.objects", "{object}", "Objects that were brought into trees.")
	FetchedBytes   = counter("mirrorcycle.fetched.io", "By", "Bytes that came from upstreams for objects.")
	FetchFailures  = counter("mirrorcycle.fetched.failures", "{object}", "Objects that could not be had.")
	Added          = counter("mirrorcycle.committed.added", "{object}", "Objects that new generations name in addition.")
	Dropped        = counter("mirrorcycle.committed.dropped", "{object}", "Objects that new generations no longer name.")
	ReapedObjects  = counter("mirrorcycle.reaped.objects", "{object}", "Dropped objects that were deleted, from trees (no region) and regions.")
	ReapedBytes    = counter("mirrorcycle.reaped.size", "By", "Their size.")
	Problems       = counter("mirrorcycle.verify.problems", "{problem}", "What verification and scrubs found wrong in trees and regions.")
	Runs           = counter("mirrorcycle.mirror.runs", "{run}", "Runs of mirrors, by outcome.")
	Notices        = counter("mirrorcycle.notices", "{notice}", "Notices that the webhook took, by condition.")
)

// Counters lists them.
func Counters() []*Counter {
	return []*Counter{FetchedObjects, FetchedBytes, FetchFailures, Added, Dropped, ReapedObjects, ReapedBytes, Problems, Runs, Notices}
}

// Add adds n, if anybody counts.
func (c *Counter) Add(ctx context.Context, n int64, attrs ...attribute.KeyValue) {
	if made := c.Get(); n != 0 && made.Enabled(ctx) {
		made.Add(ctx, n, metric.WithAttributes(attrs...))
	}
}

// Timer is a distribution of durations.
type Timer struct {
	span.Instrument[metric.Float64Histogram]
}

func timer(name, about string) *Timer {
	return &Timer{span.Instrument[metric.Float64Histogram]{New: func(m metric.Meter) (metric.Float64Histogram, error) {
		return m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about),
			metric.WithExplicitBucketBoundaries(.1, .5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 21600))
	}}}
}

// The timers.
var (
	CycleTime   = timer("mirrorcycle.cycle.duration", "Duration of cycles, by outcome.")
	PublishTime = timer("mirrorcycle.release.duration", "Duration of publishing a mirror to a region that got something new, or that failed.")
)

// Timers lists them.
func Timers() []*Timer { return []*Timer{CycleTime, PublishTime} }

// Record notes one duration, if anybody counts.
func (t *Timer) Record(ctx context.Context, d time.Duration, attrs ...attribute.KeyValue) {
	if made := t.Get(); made.Enabled(ctx) {
		made.Record(ctx, d.Seconds(), metric.WithAttributes(attrs...))
	}
}
