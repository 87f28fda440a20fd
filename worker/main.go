// Command worker serves the task queues of its roles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		if errors.Is(err, fault.Config) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("worker", flag.ContinueOnError)
	list := fs.String("roles", "", "what this host can reach: cycle, sync:<storage>, release:<region>, wheels:<platform>, separated by commas")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", fault.Config, err)
	}
	roles, err := service.ParseRoles(*list)
	if err != nil {
		return err
	}
	var lvl slog.Level
	if err := lvl.UnmarshalText([]byte(*level)); err != nil {
		return fmt.Errorf("%w: --log-level: %w", fault.Config, err)
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: lvl}))
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return fmt.Errorf("%w: read Temporal's configuration: %w", fault.Config, err)
	}
	o.Logger = service.Logger(logger)
	c, err := client.DialContext(ctx, o)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: "worker: connect to", Subject: o.HostPort, Err: err, Advice: "set TEMPORAL_ADDRESS"}
	}
	defer c.Close()
	logger.Info("worker starts", "roles", strings.TrimSpace(*list), "pid", os.Getpid())
	return service.Run(ctx, service.Options{Client: c, Roles: roles, Logger: logger, Crash: service.CrashFromEnv()})
}
