package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Logs adds trace_id and span_id to what is logged with a context that is part
// of a trace. Temporal's loggers of workflows and activities say them as
// TraceID and SpanID; they get the same names.
func Logs(next slog.Handler) slog.Handler { return logs{next} }

type logs struct{ next slog.Handler }

func (l logs) Enabled(ctx context.Context, level slog.Level) bool { return l.next.Enabled(ctx, level) }

func (l logs) Handle(ctx context.Context, r slog.Record) error {
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", s.TraceID().String()), slog.String("span_id", s.SpanID().String()))
	}
	return l.next.Handle(ctx, r)
}

func (l logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		named[i] = a
		switch a.Key {
		case "TraceID":
			named[i].Key = "trace_id"
		case "SpanID":
			named[i].Key = "span_id"
		}
	}
	return logs{l.next.WithAttrs(named)}
}

func (l logs) WithGroup(name string) slog.Handler { return logs{l.next.WithGroup(name)} }
