package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"mirrorcycle/internal/site"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/standing"
)

// watched are the states of the storages that this process has worked on.
var watched sync.Map

// Watch has the gauges tell of the mirrors whose states are below dir.
func Watch(dir string) {
	if dir != "" {
		watched.LoadOrStore(dir, nil)
	}
}

// gauge is a value that is read from the records whenever metrics are
// collected. All workers of a storage tell the same.
type gauge struct {
	name, unit, about string
	mirror            func(view) []point // of a mirror
	region            func(view, *site.Served) []point
}

// view is one mirror of a record at a time.
type view struct {
	*site.Mirror
	detail standing.Detail
	now    time.Time
}

type point struct {
	value float64
	attrs []attribute.KeyValue
}

// byReason is a value for each kind of fault, and 0 without a reason if there is none.
func byReason(by map[string]int64) (out []point) {
	for kind, n := range by {
		out = append(out, point{float64(n), []attribute.KeyValue{attribute.String("mirrorcycle.reason", kind)}})
	}
	if len(out) == 0 {
		return one(0)
	}
	return out
}

func one(v float64) []point { return []point{{value: v}} }
func whole(v int64) []point { return one(float64(v)) }
func since(now, t time.Time) []point {
	if t.IsZero() {
		return nil
	}
	return one(now.Sub(t).Seconds())
}

var gauges = []gauge{
	{name: "mirrorcycle.mirror.lag", unit: "s", about: "Time since the tree was last seen to have all that upstream has.",
		mirror: func(v view) []point { return since(v.now, v.LevelAt) }},
	{name: "mirrorcycle.mirror.generation", unit: "{generation}", about: "Number of the newest verified generation.",
		mirror: func(v view) []point { return whole(v.Generation) }},
	{name: "mirrorcycle.mirror.objects", unit: "{object}", about: "Objects of the newest generation.", mirror: func(v view) []point { return whole(v.Objects) }},
	{name: "mirrorcycle.mirror.size", unit: "By", about: "Their size.", mirror: func(v view) []point { return whole(v.Bytes) }},
	{name: "mirrorcycle.mirror.retained", unit: "{object}", about: "Dropped objects that the tree still has.", mirror: func(v view) []point { return whole(v.Retained) }},
	{name: "mirrorcycle.mirror.deferred", unit: "{unit}", about: "Suites or projects that the last run left as they were.",
		mirror: func(v view) []point { return whole(v.New()) }},
	{name: "mirrorcycle.mirror.lacking", unit: "{requirement}", about: "Requirements that upstream goes on lacking, as runs before told.",
		mirror: func(v view) []point { return whole(int64(len(v.Deferred)) - v.New()) }},
	{name: "mirrorcycle.mirror.completeness", unit: "1", about: "Share of the objects that the last plan wanted that are there.",
		mirror: func(v view) []point {
			if v.Objects+v.detail.Missing == 0 {
				return nil
			}
			return one(float64(v.Objects) / float64(v.Objects+v.detail.Missing))
		}},
	{name: "mirrorcycle.mirror.missing", unit: "{file}", about: "What upstream lists and could not be had up to now, by reason.",
		mirror: func(v view) []point {
			if v.Lacks == nil {
				return byReason(nil)
			}
			return byReason(v.Lacks.Missing)
		}},
	{name: "mirrorcycle.mirror.refused", unit: "{file}", about: "What upstream lists and cannot be believed, by reason.",
		mirror: func(v view) []point {
			if v.Lacks == nil {
				return byReason(nil)
			}
			return byReason(v.Lacks.Refused)
		}},
	{name: "mirrorcycle.mirror.held", unit: "{plan}", about: "Plans that wait for a person's approval.",
		mirror: func(v view) []point {
			if v.Outcome == "held" {
				return one(1)
			}
			return one(0)
		}},
	{name: "mirrorcycle.mirror.status", unit: "{outcome}", about: "1 for the outcome of the last run.",
		mirror: func(v view) []point {
			if v.Outcome == "" {
				return nil
			}
			return []point{{1, []attribute.KeyValue{span.Outcome.String(v.Outcome)}}}
		}},
	{name: "mirrorcycle.mirror.validity", unit: "s", about: "Time left until the first Valid-Until of a Release passes; below zero clients refuse it.",
		mirror: func(v view) []point {
			if v.detail.ValidUntil.IsZero() {
				return nil
			}
			return one(v.detail.ValidUntil.Sub(v.now).Seconds())
		}},
	{name: "mirrorcycle.storage.free", unit: "By", about: "Bytes that may still be written to the tree.", mirror: func(v view) []point { return whole(v.FreeBytes) }},
	{name: "mirrorcycle.wheels.pins", unit: "{pin}", about: "Pins of a wheels mirror by platform and state.",
		mirror: func(v view) (out []point) {
			for platform, states := range v.detail.Wheels {
				for state, n := range states {
					out = append(out, point{float64(n), []attribute.KeyValue{attribute.String("mirrorcycle.platform", platform), attribute.String("mirrorcycle.state", state)}})
				}
			}
			return out
		}},
	{name: "mirrorcycle.region.lag", unit: "s", about: "Time since a probe last saw the region serve the newest generation.",
		region: func(v view, r *site.Served) []point { return since(v.now, r.LevelAt) }},
	{name: "mirrorcycle.region.generation", unit: "{generation}", about: "Generation that the region was last seen to serve.",
		region: func(_ view, r *site.Served) []point { return whole(r.Serves) }},
	{name: "mirrorcycle.region.waiting.objects", unit: "{object}", about: "Dropped objects that the region still keeps.",
		region: func(_ view, r *site.Served) []point { return whole(r.Waiting) }},
	{name: "mirrorcycle.region.waiting.size", unit: "By", about: "Bytes that the region holds back.",
		region: func(_ view, r *site.Served) []point { return whole(r.WaitingBytes) }},
	{name: "mirrorcycle.region.status", unit: "{outcome}", about: "1 for the outcome of the last release.",
		region: func(_ view, r *site.Served) []point {
			if r.Outcome == "" {
				return nil
			}
			return []point{{1, []attribute.KeyValue{span.Outcome.String(r.Outcome)}}}
		}},
}

// observe registers the gauges with the meter provider.
func observe() error {
	meter := otel.Meter(span.Scope)
	made := make([]metric.Observable, len(gauges))
	for i, g := range gauges {
		m, err := meter.Float64ObservableGauge(g.name, metric.WithUnit(g.unit), metric.WithDescription(g.about))
		if err != nil {
			return err
		}
		made[i] = m
	}
	last, err := meter.Float64ObservableGauge("mirrorcycle.cycle.age", metric.WithUnit("s"), metric.WithDescription("Time since the start of the last cycle that ended."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		now := time.Now()
		for cycle, r := range records() {
			if n := len(r.Status.Cycles); n > 0 {
				to.ObserveFloat64(last, now.Sub(r.Status.Cycles[n-1].Started).Seconds(), metric.WithAttributes(span.Cycle.String(cycle)))
			}
			for i := range r.Status.Mirrors {
				tell(to, made, cycle, view{&r.Status.Mirrors[i], r.Details[r.Status.Mirrors[i].Name], now})
			}
		}
		return nil
	}, append(made, last)...)
	return err
}

// records reads all that is watched. What cannot be read now is left out: that
// there is nothing to see is seen.
func records() map[string]*standing.Record {
	out := map[string]*standing.Record{}
	watched.Range(func(dir, _ any) bool {
		for _, cycle := range standing.List(dir.(string)) {
			if r, err := standing.Read(dir.(string), cycle); err == nil {
				out[cycle] = r
			}
		}
		return true
	})
	return out
}

func tell(to metric.Observer, made []metric.Observable, cycle string, v view) {
	base := []attribute.KeyValue{span.Cycle.String(cycle), span.Mirror.String(v.Name), span.Kind.String(string(v.Kind))}
	say := func(i int, more []attribute.KeyValue, ps []point) {
		for _, p := range ps {
			attrs := append(append(base[:len(base):len(base)], more...), p.attrs...)
			to.ObserveFloat64(made[i].(metric.Float64Observable), p.value, metric.WithAttributes(attrs...))
		}
	}
	for i, g := range gauges {
		if g.mirror != nil {
			say(i, nil, g.mirror(v))
			continue
		}
		for j := range v.Regions {
			say(i, []attribute.KeyValue{span.Region.String(v.Regions[j].Region)}, g.region(v, &v.Regions[j]))
		}
	}
}
