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

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("worker", flag.ContinueOnError)
	list := fs.String("roles", "", "what this host can reach: cycle, sync:<storage>, release:<region>, wheels:<platform>, separated by commas")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	metrics := fs.String("metrics", "", "serve Prometheus metrics on this address, such as 127.0.0.1:9464")
	memory := fs.String("builds-memory", "", "what all builds of wheels on this host may take together, such as 24GB; default three quarters of its memory")
	processes := fs.Int("builds-processes", 0, "and how many processes and threads; default half of what the host can have")
	permit := permitFlags(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", fault.Config, err)
	}
	roles, err := service.ParseRoles(*list)
	if err != nil {
		return err
	}
	builder, err := builds(*memory, *processes)
	if err != nil {
		return err
	}
	var lvl slog.Level
	if err := lvl.UnmarshalText([]byte(*level)); err != nil {
		return fmt.Errorf("%w: --log-level: %w", fault.Config, err)
	}
	logger := slog.New(telemetry.Logs(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: lvl})))
	t, err := telemetry.Start(ctx, telemetry.Options{Service: "mirrorcycle-worker", Metrics: *metrics,
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
	if permit.Dirs == nil && permit.Files == nil {
		logger.Warn("whoever may start workflows can make this worker read and write any path: see --dirs and --files in docs/security.md")
	}
	logger.Info("worker starts", "roles", strings.TrimSpace(*list), "temporal", o.HostPort, "namespace", o.Namespace, "pid", os.Getpid(), "metrics", t.Address, "tracing", t.Tracing)
	return service.Run(ctx, service.Options{Client: c, Roles: roles, Logger: logger, Builder: builder, Crash: service.CrashFromEnv(), Permit: *permit})
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

// permitFlags defines the flags that say what messages may ask of this worker.
func permitFlags(fs *flag.FlagSet) *activities.Permit {
	p := &activities.Permit{Sandbox: []string{mirrorspec.Bubblewrap}}
	for name, f := range map[string]struct {
		to    *[]string
		usage string
	}{
		"dirs":           {&p.Dirs, "directories in which a spec's storage, regions and sites may be (default anywhere)"},
		"roots":          {&p.Roots, "directories in which roots of platforms may be (default anywhere)"},
		"files":          {&p.Files, "files, and directories of files, that a spec may name: keyrings, netrc, certificates, requirements (default any)"},
		"sandbox":        {&p.Sandbox, "how wheels may be built: bubblewrap, none (default bubblewrap)"},
		"internal-hosts": {&p.Internal, "hosts, host:port, addresses and networks inside that upstreams may lead to, although the spec does not name them"},
	} {
		fs.Func(name, f.usage+"; separated by commas", func(text string) error {
			*f.to = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			if *f.to == nil {
				*f.to = []string{}
			}
			return nil
		})
	}
	return p
}
