package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/local"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

type upOptions struct {
	demo, once bool
	dir        string
	internal   []string
	step       time.Duration
	json       bool
	telemetry  *telemetry.Telemetry
}

func upCmd(g *globals) *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up [FILE]",
		Short: "Run everything on this machine: Temporal, Web UI, worker, region web servers, and cycles",
		Long: `Run everything on this machine: Temporal with its Web UI, a worker, one web
server per region on loopback, a first cycle, then one every cycle.every.
Without a spec, or with --demo, the upstream is a small demo of its own. What
is on disk is gone on from at the next up.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.json = g.json
			return observed(c, func(_ context.Context, tel *telemetry.Telemetry) error {
				o.telemetry = tel
				return up(c.Context(), c.OutOrStdout(), args, o) // each cycle has a trace of its own
			})
		},
	}
	o.flags(c.Flags())
	return c
}

func (o *upOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.demo, "demo", false, "mirror a demo upstream on loopback")
	f.BoolVar(&o.once, "once", false, "end after the first cycle")
	f.StringVar(&o.dir, "dir", "", "directory for the demo, Temporal's database and logs (default ./mirrorcycle-data)")
	f.StringSliceVar(&o.internal, "internal-hosts", nil, "hosts, host:port, addresses and networks inside that upstreams may lead to, although the spec does not name them")
	f.DurationVar(&o.step, "demo-step", 20*time.Second, "how often the demo upstream publishes something")
}

// stack ends what up started, newest first, so that Temporal is last.
type stack []func()

func (s *stack) push(f func()) { *s = append(*s, f) }

func (s *stack) end() {
	for i := len(*s) - 1; i >= 0; i-- {
		(*s)[i]()
	}
}

func up(ctx context.Context, w io.Writer, args []string, o upOptions) error {
	if o.dir == "" {
		o.dir = "mirrorcycle-data"
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out := w
	if o.json {
		out = io.Discard
	}
	var ends stack
	defer ends.end()
	held := ports{}
	defer held.close()
	spec, begin, err := upSpec(out, args, dir, o, held, &ends)
	if err != nil {
		return err
	}
	if err := setup(io.Discard, spec); err != nil {
		return err
	}
	t, ui, dead, err := upTemporal(ctx, out, dir, o.telemetry, &ends)
	if err != nil {
		return err
	}
	// The embedded server has got the attributes, and no other namespace.
	if dead == nil {
		if err := registerAttributes(ctx, t, namespace()); err != nil {
			return err
		}
	}
	if err := upRegions(out, spec, held, &ends); err != nil {
		return err
	}
	svc, err := service.Start(service.Options{Client: t, Roles: rolesOf(spec), Permit: o.permit(spec)})
	if err != nil {
		return err
	}
	ends.push(svc.Stop)
	return cycles(ctx, w, t, spec, upState{options: o, ui: ui, dead: dead, out: out, begin: begin})
}

// permit is what the worker of up does: what its own spec names, and what flags add.
func (o upOptions) permit(spec *mirrorspec.Spec) activities.Permit {
	return activities.PermitOf(spec).And(activities.Permit{Internal: o.internal})
}

// upState is what the loop of cycles needs to know of the rest.
type upState struct {
	options upOptions
	ui      string
	dead    <-chan struct{} // closed when the embedded server has ended
	out     io.Writer
	begin   func() // what may print beside the cycles after the first one
}

// cycles runs the first cycle with its progress, then one every period until ctx ends.
func cycles(ctx context.Context, w io.Writer, t client.Client, spec *mirrorspec.Spec, u upState) error {
	interrupted := ctx.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // nobody would answer the questions that wait for a cycle's end
		select {
		case <-u.dead:
			cancel(errors.New("up: the embedded Temporal server has ended; its log is in " + u.options.dir))
		case <-ctx.Done():
		}
	}()
	first := true
	for {
		run, err := startCycle(ctx, t, workflows.CycleInput{Spec: *spec, Due: due(spec, first && u.options.once)})
		var result workflows.CycleResult
		if err == nil && first {
			result, err = follow(ctx, t, run, progressTo(w, u.options.json))
		} else if err == nil {
			err = run.Get(ctx, &result)
		}
		if ctx.Err() != nil {
			return ending(ctx, interrupted, u)
		}
		var ended *temporal.WorkflowExecutionError
		switch {
		case errors.As(err, &ended) && !(first && u.options.once):
			// Somebody cancelled, terminated or reset it, or it ran out of time: the
			// next one continues from what is on disk.
			fmt.Fprintf(u.out, "%s the cycle did not come to its end: %v\n", time.Now().Format(time.TimeOnly), failure(err))
			if first {
				hints(u.out, spec, u)
				u.begin()
			}
		case err != nil:
			return failure(err)
		case first:
			if err := printResult(w, u.options.json, result); u.options.once || err != nil && !isStatus(err) {
				return err
			}
			hints(u.out, spec, u)
			u.begin()
		case result.Outcome != workflows.Unchanged || reaped(result):
			fmt.Fprintf(u.out, "%s cycle:\n", time.Now().Format(time.TimeOnly))
			for _, m := range result.Mirrors {
				if m.Outcome != workflows.Unchanged || reaped(workflows.CycleResult{Mirrors: []workflows.MirrorResult{m}}) {
					fmt.Fprint(u.out, describe(m))
				}
			}
		}
		first = false
		select {
		case <-ctx.Done():
			return ending(ctx, interrupted, u)
		case <-time.After(every(spec)):
		}
	}
}

// ending tells an interrupted up, which is how it is meant to end unless
// somebody waits for its one cycle, from one that lost its server.
func ending(ctx context.Context, interrupted <-chan struct{}, u upState) error {
	select {
	case <-interrupted:
	default:
		return context.Cause(ctx)
	}
	fmt.Fprintln(u.out, "\nending: what runs goes on at the next up")
	if u.options.once {
		return context.Cause(ctx)
	}
	return nil
}

// due is how long a cycle may take: one slow mirror must not keep the others
// waiting, but who makes just one cycle wants to see its end.
func due(spec *mirrorspec.Spec, only bool) mirrorspec.Duration {
	if only {
		return 0
	}
	return mirrorspec.Duration(max(every(spec), 2*time.Minute))
}

// every is the pause between two cycles. A spec with a cron schedule has no
// period; schedules are Temporal's, and up keeps to the default.
func every(spec *mirrorspec.Spec) time.Duration {
	if spec.Cycle.Every > 0 {
		return time.Duration(spec.Cycle.Every)
	}
	return 2 * time.Hour
}

func isStatus(err error) bool {
	var s status
	return errors.As(err, &s)
}

func reaped(r workflows.CycleResult) bool {
	for _, m := range r.Mirrors {
		for _, reg := range m.Regions {
			if reg.Reaped != nil && reg.Reaped.Objects > 0 {
				return true
			}
		}
	}
	return false
}

// upTemporal uses the server that TEMPORAL_ADDRESS names, or starts one.
func upTemporal(ctx context.Context, w io.Writer, dir string, tel *telemetry.Telemetry, ends *stack) (client.Client, string, <-chan struct{}, error) {
	if os.Getenv("TEMPORAL_ADDRESS") != "" {
		t, err := dial(ctx, tel)
		if err == nil {
			ends.push(t.Close)
			fmt.Fprintf(w, "Temporal at %s\n", os.Getenv("TEMPORAL_ADDRESS"))
		}
		return t, "", nil, err
	}
	program, err := local.Find()
	if err != nil {
		return nil, "", nil, err
	}
	s, err := local.Start(ctx, program, local.Options{Dir: filepath.Join(dir, "temporal"), Port: 7233, Attributes: workflows.SearchAttributes()})
	if err != nil {
		return nil, "", nil, err
	}
	ends.push(s.Stop)
	t, err := dialOwn(ctx, s, tel)
	if err != nil {
		return nil, "", nil, err
	}
	ends.push(t.Close)
	fmt.Fprintf(w, "Temporal at %s, Web UI at %s\n", s.Address, s.UI)
	return t, s.UI, s.Done(), nil
}

// dialOwn connects to the embedded server. On a busy machine it listens a while
// before it answers.
func dialOwn(ctx context.Context, s *local.Server, tel *telemetry.Telemetry) (client.Client, error) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(2*time.Minute))
	return backoff.RetryWithData(func() (client.Client, error) {
		t, err := dialTo(ctx, client.Options{HostPort: s.Address}, tel)
		if err == nil || !errors.Is(err, fault.Unavailable) {
			return t, backoff.Permanent(err)
		}
		select {
		case <-s.Done():
			return nil, backoff.Permanent(fmt.Errorf("the embedded Temporal server has ended; see temporal.log beside its database: %w", err))
		default:
			return nil, err
		}
	}, backoff.WithContext(wait, ctx))
}

func rolesOf(spec *mirrorspec.Spec) []service.Role {
	roles := []service.Role{{Kind: "cycle"}, {Kind: "sync", Name: spec.Storage.Name}}
	for _, r := range spec.Regions {
		if r.Pull {
			roles = append(roles, service.Role{Kind: "release", Name: r.Name})
		}
	}
	for _, m := range spec.Mirrors {
		for _, p := range m.Platforms {
			if role := (service.Role{Kind: "wheels", Name: p.Name}); !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	if release.HasSites(spec.Regions) {
		roles = append(roles, service.Role{Kind: "release", Name: spec.AFS.Cell})
	}
	return roles
}
