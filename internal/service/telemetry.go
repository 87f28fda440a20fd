package service

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"mirrorcycle/internal/span"
	"mirrorcycle/internal/telemetry"
)

// Observe has a client, and the workers made of it, take part in traces and
// count what Temporal's SDK counts, if anybody listens.
func Observe(o *client.Options, t *telemetry.Telemetry) error {
	if t.Metering {
		o.MetricsHandler = opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{Meter: otel.Meter("temporal-sdk-go"),
			UseMonotonicCounters: true, OnError: otel.Handle})
	}
	if !t.Tracing {
		return nil
	}
	// Queries are how starter looks every half second; a trace is of what is done.
	inner, err := opentelemetry.NewTracer(opentelemetry.TracerOptions{DisableQueryTracing: true, DisableBaggage: true, SpanStarter: startSpan})
	if err != nil {
		return err
	}
	tracing := interceptor.NewTracingInterceptor(tracer{inner})
	o.Interceptors = append(o.Interceptors, unscheduled{tracing})
	return nil
}

// tracer gives a workflow's span an ID that every worker arrives at: who goes
// on with a workflow ends the span that the steps before belong to.
type tracer struct{ interceptor.Tracer }

// separator joins a span's name and its key on the way through the SDK's
// package, which knows the key and does not hand it on.
const separator = "\x00"

func (t tracer) StartSpan(o *interceptor.TracerStartSpanOptions) (interceptor.TracerSpan, error) {
	if o.IdempotencyKey != "" {
		with := *o
		with.Name += separator + o.IdempotencyKey
		o = &with
	}
	return t.Tracer.StartSpan(o)
}

func startSpan(ctx context.Context, t oteltrace.Tracer, name string, opts ...oteltrace.SpanStartOption) oteltrace.Span {
	name, key, ok := strings.Cut(name, separator)
	if ok {
		ctx = telemetry.Same(ctx, key)
	}
	_, s := t.Start(ctx, name, opts...)
	return s
}

// unscheduled keeps a schedule out of traces: each of its cycles would be part
// of the one that made it, for ever. They have traces of their own.
type unscheduled struct{ interceptor.Interceptor }

func (u unscheduled) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return schedules{u.Interceptor.InterceptClient(next), next}
}

type schedules struct {
	interceptor.ClientOutboundInterceptor
	next interceptor.ClientOutboundInterceptor
}

func (s schedules) CreateSchedule(ctx context.Context, in *interceptor.ScheduleClientCreateInput) (client.ScheduleHandle, error) {
	return s.next.CreateSchedule(ctx, in)
}

// logging notes the end of every step, with its trace where there is one.
type logging struct {
	interceptor.WorkerInterceptorBase
	log *slog.Logger
}

func (l *logging) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &step{interceptor.ActivityInboundInterceptorBase{Next: next}, l.log}
}

type step struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

func (s *step) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	start := time.Now()
	out, err := s.Next.ExecuteActivity(ctx, in)
	info := activity.GetInfo(ctx)
	attrs := []slog.Attr{slog.String("step", info.ActivityType.Name), slog.String("workflow", info.WorkflowExecution.ID),
		slog.String("run", info.WorkflowExecution.RunID), slog.Int("attempt", int(info.Attempt)), slog.Float64("seconds", time.Since(start).Seconds())}
	level, text := slog.LevelInfo, "step ended"
	if err != nil {
		level, text = slog.LevelWarn, "step failed"
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.LogAttrs(ctx, level, text, attrs...)
	return out, err
}

// Step begins a command's own span, the root of what it starts.
func Step(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, s := otel.Tracer(span.Scope).Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			s.RecordError(err)
		}
		s.End()
	}
}
