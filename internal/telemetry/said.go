package telemetry

import (
	"context"
	"log/slog"
)

// bare lets errors pass without their attributes: OpenTelemetry's own have the
// values of its variables, of which headers and endpoints may be secrets.
type bare struct{ slog.Handler }

func (b bare) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (b bare) Handle(ctx context.Context, r slog.Record) error {
	return b.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "a variable of OpenTelemetry cannot be read: "+r.Message, 0))
}

func (b bare) WithAttrs([]slog.Attr) slog.Handler { return b }
func (b bare) WithGroup(string) slog.Handler      { return b }
