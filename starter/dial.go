package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"mirrorcycle/internal/service"
	"mirrorcycle/internal/telemetry"
)

// dial connects as Temporal's own tools do: TEMPORAL_* variables and profiles.
func dial(ctx context.Context, tel *telemetry.Telemetry) (client.Client, error) {
	o, err := service.ClientOptions()
	if err != nil {
		return nil, err
	}
	return dialTo(ctx, o, tel)
}

func dialTo(ctx context.Context, o client.Options, tel *telemetry.Telemetry) (client.Client, error) {
	if err := service.Observe(&o, tel); err != nil {
		return nil, err
	}
	o.Logger = tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	defer sayConnecting(o.HostPort)()
	return service.Dial(ctx, o)
}

func namespace() string {
	o, err := service.ClientOptions()
	if err != nil || o.Namespace == "" {
		return client.DefaultNamespace
	}
	return o.Namespace
}

func plural(n int64, one string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// observed runs a command as the root of the trace of what it starts, if
// OpenTelemetry's variables ask for one.
func observed(c *cobra.Command, f func(context.Context, *telemetry.Telemetry) error) (err error) {
	tel, err := telemetry.Start(c.Context(), telemetry.Options{Service: "mirrorcycle-starter"})
	if err != nil {
		return err
	}
	ctx, end := service.Step(c.Context(), c.CommandPath())
	defer func() {
		end(err)
		if err := tel.Stop(ctx); err != nil {
			fmt.Fprintln(c.ErrOrStderr(), "note: telemetry was not sent:", err)
		}
	}()
	return f(ctx, tel)
}
