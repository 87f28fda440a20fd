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
	"slices"
	"strings"
	"syscall"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/mirrorspec"
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

// flags are the command line, read.
type flags struct {
	list, metrics string
	level         slog.Level
	roles         []service.Role
	builder       *activities.Sandboxed
	permit        activities.Permit
	allow         *allowance
}

// parse reads the command line. It returns flag.ErrHelp when only help was asked for.
func parse(args []string) (f flags, err error) {
	fs := flag.NewFlagSet("worker", flag.ContinueOnError)
	fs.StringVar(&f.list, "roles", "", "what this host can reach: cycle, sync:<storage>, release:<region>, wheels:<platform>, separated by commas")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	fs.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics on this address, such as 127.0.0.1:9464")
	memory := fs.String("builds-memory", "", "what all builds of wheels on this host may take together, such as 24GB; default three quarters of its memory")
	processes := fs.Int("builds-processes", 0, "and how many processes and threads; default half of what the host can have")
	f.allow = permitFlags(fs)
	if err := fs.Parse(args); err != nil {
		return f, fmt.Errorf("%w: %w", fault.Config, err)
	}
	if f.roles, err = service.ParseRoles(f.list); err != nil {
		return f, err
	}
	if f.permit, err = f.allow.read(); err != nil {
		return f, err
	}
	if f.builder, err = builds(*memory, *processes); err != nil {
		return f, err
	}
	if err := f.level.UnmarshalText([]byte(*level)); err != nil {
		return f, fmt.Errorf("%w: --log-level: %w", fault.Config, err)
	}
	return f, nil
}

func run(ctx context.Context, args []string) error {
	f, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	logger := slog.New(telemetry.Logs(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: f.level})))
	t, err := telemetry.Start(ctx, telemetry.Options{Service: "mirrorcycle-worker", Metrics: f.metrics,
		Ended: func(err error) { logger.Error("metrics are no longer served", "error", err) }})
	if err != nil {
		return err
	}
	defer func() {
		if err := t.Stop(ctx); err != nil {
			logger.Warn("telemetry was not sent", "error", err)
		}
	}()
	o, err := service.ClientOptions()
	if err != nil {
		return err
	}
	o.Logger = service.Logger(logger)
	if err := service.Observe(&o, t); err != nil {
		return err
	}
	c, err := service.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	if len(f.permit.Dirs) == 0 && slices.ContainsFunc(f.roles, func(r service.Role) bool { return r.Kind != "cycle" }) {
		logger.Warn("no directory is allowed to this worker, so it will deny what it is asked for: see --spec and --dirs in docs/security.md")
	}
	logger.Info("worker starts", "roles", strings.TrimSpace(f.list), "temporal", o.HostPort, "namespace", o.Namespace, "pid", os.Getpid(), "metrics", t.Address, "tracing", t.Tracing)
	return service.Run(ctx, service.Options{Client: c, Roles: f.roles, Logger: logger, Builder: f.builder, Crash: service.CrashFromEnv(), Permit: f.permit, Renew: f.allow.renew(logger)})
}

// builds builds wheels within what this host has for all of them together.
func builds(memory string, processes int) (*activities.Sandboxed, error) {
	b := &activities.Sandboxed{HostProcesses: processes}
	if memory == "" {
		return b, nil
	}
	size, err := mirrorspec.ParseSize(memory)
	if err != nil {
		return nil, fmt.Errorf("%w: --builds-memory: %w", fault.Config, err)
	}
	b.HostMemory = int64(size)
	return b, nil
}
