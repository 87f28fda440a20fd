package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mirrorcycle/activities"
	"mirrorcycle/internal/site"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func runCmd(g *globals) *cobra.Command {
	var only []string
	var dry, detach bool
	c := &cobra.Command{
		Use:   "run [FILE]",
		Short: "Make one cycle now and follow it",
		Long: `Make one cycle now and follow it: through the spec's schedule where there is
one, else by itself. A cycle that runs already is joined.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, specFile(args), func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				for _, m := range only {
					if _, ok := spec.Mirror(m); !ok {
						return fmt.Errorf("no mirror is called %q; the spec has %s: %w", m, strings.Join(names(spec), ", "), errUsage)
					}
				}
				// A server that lacks them would refuse every step of every workflow.
				if err := registerAttributes(ctx, t, namespace()); err != nil {
					return err
				}
				fmt.Fprintln(c.ErrOrStderr(), "starter:", temporalName())
				run, err := runCycle(ctx, t, workflows.CycleInput{Spec: *spec, Only: only, DryRun: dry}, c.ErrOrStderr())
				if err != nil {
					return err
				}
				if detach {
					return printStarted(c.OutOrStdout(), g.json, run)
				}
				stop := sayMissing(ctx, c.ErrOrStderr(), t, needed(spec))
				result, err := follow(ctx, t, run, progressTo(c.OutOrStdout(), g.json))
				stop()
				if err != nil {
					return err
				}
				return printResult(c.OutOrStdout(), g.json, result)
			})
		},
	}
	c.Flags().StringSliceVar(&only, "only", nil, "only these mirrors")
	c.Flags().BoolVar(&dry, "dry-run", false, "plan, and change nothing")
	c.Flags().BoolVar(&detach, "detach", false, "print the workflow's ID and return")
	return c
}

// runCycle lets the spec's schedule start a whole cycle, where there is one, so
// that it and a scheduled one never run beside each other.
func runCycle(ctx context.Context, t client.Client, in workflows.CycleInput, note io.Writer) (client.WorkflowRun, error) {
	if len(in.Only) == 0 && !in.DryRun {
		if run, ok, err := triggerCycle(ctx, t, &in.Spec, note); ok || err != nil {
			return run, err
		}
	}
	return startCycle(ctx, t, in)
}

// startCycle starts an on-demand cycle, or joins the one that is running.
func startCycle(ctx context.Context, t client.Client, in workflows.CycleInput) (client.WorkflowRun, error) {
	return t.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: cycleID(in), TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, WorkflowExecutionTimeout: in.Timeout(),
		StaticSummary: "cycle of " + in.Spec.Cycle.Name, StaticDetails: workflows.AboutCycle(in.Spec)}, "MirrorCycle", in)
}

// cycleID names what a cycle does: only one that does the same may be joined,
// or the result would be of other mirrors, or of a dry run.
func cycleID(in workflows.CycleInput) string {
	id := workflows.CycleID(in.Spec.Cycle.Name)
	if in.DryRun {
		id += "/dry-run"
	}
	if len(in.Only) > 0 {
		only := slices.Sorted(slices.Values(in.Only))
		id += "/only/" + strings.Join(slices.Compact(only), "+")
	}
	return id
}

func printStarted(w io.Writer, asJSON bool, run client.WorkflowRun) error {
	if asJSON {
		return printJSON(w, "started", map[string]string{"workflow": run.GetID(), "run": run.GetRunID()})
	}
	_, err := fmt.Fprintf(w, "started %s, run %s\n", run.GetID(), run.GetRunID())
	return err
}

// printResult prints a cycle's result and returns its exit status.
func printResult(w io.Writer, asJSON bool, r workflows.CycleResult) error {
	if asJSON {
		if err := printJSON(w, "cycle", r); err != nil {
			return err
		}
	} else {
		for _, m := range r.Mirrors {
			fmt.Fprint(w, describe(m))
		}
		for _, s := range r.Sites {
			if s.Error != "" {
				fmt.Fprintf(w, "status page of %s was not written: %s\n", s.Region, s.Error)
			}
		}
	}
	return outcomeStatus(r)
}

func outcomeStatus(r workflows.CycleResult) error {
	held, bad, good := false, false, false
	for _, m := range r.Mirrors {
		switch m.Outcome {
		case workflows.Held:
			held = true
		case workflows.Unchanged, workflows.Done, workflows.Planned:
			good = true
		case workflows.Partial: // something is missing; a generation came out all the same
			bad, good = true, good || m.Generation > 0
		default:
			bad = true
		}
		for _, reg := range m.Regions {
			bad = bad || reg.Outcome == workflows.Failed || reg.Outcome == workflows.Late || reg.Outcome == workflows.Busy
		}
		for _, w := range m.Wheels { // builds outlive a cycle, so late ones are right
			bad = bad || w.Outcome == workflows.Failed || w.Outcome == workflows.Partial
		}
	}
	switch {
	case bad && !good && !held:
		return status(exitFailed)
	case bad:
		return status(exitPartly)
	case held:
		return status(exitHeld)
	}
	return nil
}

// describe renders a mirror's result in a few lines.
func describe(m workflows.MirrorResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", m.Mirror, m.Outcome)
	if m.Generation > 0 {
		fmt.Fprintf(&b, ", generation %d", m.Generation)
	}
	if c := m.Changes; c != nil {
		fmt.Fprintf(&b, ", %s added, %d dropped, %s changed", plural(c.Added, "object"), c.Dropped, plural(c.Indexes, "index file"))
	}
	if m.Outcome == workflows.Planned {
		fmt.Fprintf(&b, ", %s (%d bytes) to fetch, %d dropped", plural(m.Info.Objects, "object"), m.Info.Bytes, m.Info.Drops)
	}
	if m.Info != nil && m.Info.Left > 0 && m.Outcome != workflows.Held {
		fmt.Fprintf(&b, ", %s wait for the next step", plural(m.Info.Left, "unit"))
	}
	b.WriteString("\n")
	if m.Error != "" {
		fmt.Fprintf(&b, "  %s\n", m.Error)
	}
	for _, reason := range m.Reasons {
		fmt.Fprintf(&b, "  %s\n", reason)
	}
	if m.Outcome == workflows.Held {
		fmt.Fprintf(&b, "  look at it: starter plan %s; then: %s\n", m.Mirror, site.Approve(m.Mirror, m.Approval()))
	}
	for i, d := range m.Deferred {
		if i == 10 {
			fmt.Fprintf(&b, "  … and %d more\n", len(m.Deferred)-i)
			break
		}
		what := "deferred"
		if d.Known {
			what = "deferred, known before:"
		}
		fmt.Fprintf(&b, "  %s %s: %s\n", what, d.Unit, d.Error)
	}
	if m.Missing+m.Refused > 0 {
		fmt.Fprintf(&b, "  %s\n", incomplete(m.Missing, m.Refused))
	}
	if n := int64(len(m.Mended)); n > 0 {
		fmt.Fprintf(&b, "  brought %s back, first %s: look at the disk\n", plural(n, "damaged file"), m.Mended[0])
	}
	for _, w := range m.Wheels {
		fmt.Fprintf(&b, "  wheels for %s: %s, %d built, %d failed", w.Platform, w.Outcome, w.Built, w.Failed)
		if w.Error != "" {
			fmt.Fprintf(&b, ": %s", w.Error)
		}
		b.WriteString("\n")
	}
	for _, r := range m.Regions {
		fmt.Fprintf(&b, "  region %s: %s, serves %d", r.Region, r.Outcome, r.Serves)
		if r.Reaped != nil && r.Reaped.Objects+r.Reaped.Waiting > 0 {
			fmt.Fprintf(&b, ", %d deleted, %d dropped and still kept", r.Reaped.Objects, r.Reaped.Waiting)
		}
		if r.Error != "" {
			fmt.Fprintf(&b, ": %s", r.Error)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func rollbackCmd(g *globals) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "rollback MIRROR GENERATION",
		Short: "Serve an old generation's content as a new one, and put the mirror on hold",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || to <= 0 {
				return fmt.Errorf("%q is no generation number; starter releases %s lists them: %w", args[1], args[0], errUsage)
			}
			return mirrorRun(c, g, file, args[0], workflows.Order{Rollback: to})
		},
	}
	specFlag(c, &file)
	return c
}

// mirrorRun gives the mirror's refresh an order that no cycle gives. One that
// runs already breaks off what it does, and begins anew with the order.
func mirrorRun(c *cobra.Command, g *globals, file, mirror string, order workflows.Order) error {
	return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
		a, err := ask(ctx, t, spec, mirror, activities.Question{Verb: activities.VerbStatus})
		if err != nil {
			return err
		}
		order.ReleaseWait = spec.Cycle.ReleaseWait
		in := workflows.RefreshInput{Target: workflows.Targets(*spec, []string{mirror})[0], Tree: a.Status.Tree,
			Regions: spec.RegionsOf(mirror), Order: order}
		run, err := t.SignalWithStartWorkflow(ctx, workflows.RefreshID(in.Tree), workflows.SignalOrder, order,
			client.StartWorkflowOptions{TaskQueue: workflows.Queue, StaticSummary: "refresh " + mirror,
				StaticDetails: workflows.AboutMirror(in.Target.Mirror, in.Regions)}, "Refresh", in)
		if err != nil {
			return err
		}
		var m workflows.MirrorResult
		if err := run.Get(ctx, &m); err != nil {
			return failure(err)
		}
		if slices.ContainsFunc(m.Replaced, order.Same) {
			return fmt.Errorf("%s: a later order took the place of this one, which was not carried out; look at starter status, and give it again", mirror)
		}
		return printResult(c.OutOrStdout(), g.json, workflows.CycleResult{Cycle: spec.Cycle.Name, Outcome: m.Outcome, Mirrors: []workflows.MirrorResult{m}})
	})
}

// failure is a workflow's error without Temporal's wrapping.
func failure(err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return errors.New(app.Message())
	}
	return err
}
