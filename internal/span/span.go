// Package span records steps and HTTP requests in the trace that a context carries.
//
// It needs OpenTelemetry's interfaces only. While nothing listens, a step costs
// a look at the context and a request not even an allocation.
package span

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Scope names this program in traces and metrics.
const Scope = "mirrorcycle"

// The attributes by which the parts of a trace and of metrics are told apart.
const (
	Mirror  = attribute.Key("mirrorcycle.mirror")
	Kind    = attribute.Key("mirrorcycle.kind")
	Region  = attribute.Key("mirrorcycle.region")
	Cycle   = attribute.Key("mirrorcycle.cycle")
	Outcome = attribute.Key("mirrorcycle.outcome")
)

// Start begins a step; the caller ends it with how it went.
func Start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, func(error) {} // steps are parts of something
	}
	ctx, s := otel.Tracer(Scope).Start(ctx, name, trace.WithAttributes(attrs...))
	return ctx, func(err error) {
		if err != nil {
			s.SetStatus(codes.Error, err.Error())
		}
		s.End()
	}
}

type budgetKey struct{}

// Limit lets n requests below ctx be recorded even though they went well and
// fast: a shard has thousands of them, and each after the first hundred says the same.
func Limit(ctx context.Context, n int64) context.Context {
	left := new(atomic.Int64)
	left.Store(n)
	return context.WithValue(ctx, budgetKey{}, left)
}

// within takes one of what Limit allows.
func within(ctx context.Context) bool {
	left, ok := ctx.Value(budgetKey{}).(*atomic.Int64)
	return !ok || left.Add(-1) >= 0
}
