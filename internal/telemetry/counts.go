package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"mirrorcycle/internal/span"
)

// Counter is something that adds up, whichever worker it happens on.
type Counter struct {
	name, unit, about string
	once              sync.Once
	made              metric.Int64Counter
}

// The counters, with what is counted.
var (
	FetchedObjects = &Counter{name: "mirrorcycle.fetched.objects", unit: "{object}", about: "Objects that were brought into trees."}
	FetchedBytes   = &Counter{name: "mirrorcycle.fetched.io", unit: "By", about: "Bytes that came from upstreams for objects."}
	FetchFailures  = &Counter{name: "mirrorcycle.fetched.failures", unit: "{object}", about: "Objects that could not be had."}
	Added          = &Counter{name: "mirrorcycle.committed.added", unit: "{object}", about: "Objects that new generations name in addition."}
	Dropped        = &Counter{name: "mirrorcycle.committed.dropped", unit: "{object}", about: "Objects that new generations no longer name."}
	ReapedObjects  = &Counter{name: "mirrorcycle.reaped.objects", unit: "{object}", about: "Dropped objects that were deleted, from trees (no region) and regions."}
	ReapedBytes    = &Counter{name: "mirrorcycle.reaped.size", unit: "By", about: "Their size."}
	Problems       = &Counter{name: "mirrorcycle.verify.problems", unit: "{problem}", about: "What verification and scrubs found wrong in trees."}
	Runs           = &Counter{name: "mirrorcycle.mirror.runs", unit: "{run}", about: "Runs of mirrors, by outcome."}
	Notices        = &Counter{name: "mirrorcycle.notices", unit: "{notice}", about: "Notices that the webhook took, by condition."}
)

// Counters lists them.
func Counters() []*Counter {
	return []*Counter{FetchedObjects, FetchedBytes, FetchFailures, Added, Dropped, ReapedObjects, ReapedBytes, Problems, Runs, Notices}
}

// Add adds n, if anybody counts.
func (c *Counter) Add(ctx context.Context, n int64, attrs ...attribute.KeyValue) {
	c.once.Do(func() {
		made, err := otel.Meter(span.Scope).Int64Counter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.about))
		if err != nil {
			otel.Handle(err)
		}
		c.made = made
	})
	if n != 0 && c.made.Enabled(ctx) {
		c.made.Add(ctx, n, metric.WithAttributes(attrs...))
	}
}

// Timer is a distribution of durations.
type Timer struct {
	name, about string
	once        sync.Once
	made        metric.Float64Histogram
}

// The timers.
var (
	CycleTime   = &Timer{name: "mirrorcycle.cycle.duration", about: "Duration of cycles, by outcome."}
	PublishTime = &Timer{name: "mirrorcycle.release.duration", about: "Duration of publishing a mirror to a region that got something new, or that failed."}
)

// Timers lists them.
func Timers() []*Timer { return []*Timer{CycleTime, PublishTime} }

// Record notes one duration, if anybody counts.
func (t *Timer) Record(ctx context.Context, d time.Duration, attrs ...attribute.KeyValue) {
	t.once.Do(func() {
		made, err := otel.Meter(span.Scope).Float64Histogram(t.name, metric.WithUnit("s"), metric.WithDescription(t.about),
			metric.WithExplicitBucketBoundaries(.1, .5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 21600))
		if err != nil {
			otel.Handle(err)
		}
		t.made = made
	})
	if t.made.Enabled(ctx) {
		t.made.Record(ctx, d.Seconds(), metric.WithAttributes(attrs...))
	}
}
