package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// planRows is how many files of a plan are listed without --all, and planPage how many one question brings.
const planRows, planPage = 200, 4000

func planCmd(g *globals) *cobra.Command {
	var file string
	var all bool
	c := &cobra.Command{
		Use:   "plan [MIRROR]",
		Short: "Show what a held or waiting plan drops and fetches",
		Long: `Show what a held plan, or the newest one that waits, drops and fetches: by suite,
pool component, repository or project, then file by file, what is dropped first.
It reads what the last cycle or dry run stored, and asks no upstream. A held
plan ends with the command that approves it.`,
		Example: "  starter plan ubuntu\n  starter run --only ubuntu --dry-run; starter plan ubuntu --all --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				mirrors := names(spec)
				if len(args) > 0 {
					mirrors = args
				}
				plans := []*activities.PlanView{} // an empty list is no null
				for _, m := range mirrors {
					v, err := askPlan(ctx, t, spec, m, all)
					if err != nil {
						return err
					}
					if v != nil {
						plans = append(plans, v)
					}
					if !g.json {
						printPlan(c.OutOrStdout(), m, v)
					}
				}
				if g.json {
					return printJSON(c.OutOrStdout(), "plans", plans)
				}
				return nil
			})
		},
	}
	specFlag(c, &file)
	c.Flags().BoolVar(&all, "all", false, fmt.Sprintf("list every file, not the first %d", planRows))
	return c
}

// askPlan asks for the plan of a mirror. What one answer does not hold is asked for in further ones.
func askPlan(ctx context.Context, t client.Client, spec *mirrorspec.Spec, mirror string, all bool) (*activities.PlanView, error) {
	q := activities.Question{Verb: activities.VerbPlan, Rows: planRows}
	if all {
		q.Rows = planPage
	}
	a, err := ask(ctx, t, spec, mirror, q)
	if err != nil || a.Plan == nil {
		return nil, err
	}
	v := a.Plan
	for all && v.MoreRows > 0 {
		q.From = int64(len(v.Rows))
		a, err := ask(ctx, t, spec, mirror, q)
		if err != nil {
			return nil, err
		}
		if a.Plan == nil || a.Plan.Digest != v.Digest || len(a.Plan.Rows) == 0 {
			return nil, fmt.Errorf("%s: another plan was made meanwhile; ask again", mirror)
		}
		v.Rows, v.MoreRows = append(v.Rows, a.Plan.Rows...), a.Plan.MoreRows
	}
	return v, nil
}

// printPlan shows a plan, or says how to have one.
func printPlan(w io.Writer, mirror string, v *activities.PlanView) {
	if v == nil {
		fmt.Fprintf(w, "%s: no plan waits; to make one: starter run --only %s --dry-run\n", mirror, mirror)
		return
	}
	state := "waits"
	if v.Held {
		state = "held"
	}
	fmt.Fprintf(w, "%s: %s, planned from generation %d at %s\n", mirror, state, v.Base, v.Made.Format(time.RFC3339))
	for _, reason := range v.Reasons {
		fmt.Fprintf(w, "  %s\n", reason)
	}
	fmt.Fprintf(w, "  drops %d of %s (%d bytes), adds %d, changes %s; %s to fetch (%d bytes)\n", v.Drops, plural(v.BaseObjects, "object"), v.DropBytes, v.Adds,
		plural(v.IndexChanges, "index file"), plural(v.Fetches, "file"), v.FetchBytes)
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	if len(v.Units) > 0 {
		fmt.Fprintln(tw, "UNIT\tDROPS\tBYTES\tFETCHES\tBYTES")
	}
	for _, u := range v.Units {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\n", u.Unit, u.Drops, u.DropBytes, u.Fetches, u.FetchBytes)
	}
	tw.Flush()
	if v.MoreUnits > 0 {
		fmt.Fprintf(w, "… and %d units more\n", v.MoreUnits)
	}
	if len(v.Rows) > 0 {
		fmt.Fprintln(tw, "CHANGE\tBYTES\tFILE")
	}
	for _, r := range v.Rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Change, strings.TrimPrefix(fmt.Sprint(r.Size), "-1"), r.Path)
	}
	tw.Flush()
	if v.MoreRows > 0 {
		fmt.Fprintf(w, "… and %s more: starter plan %s --all\n", plural(v.MoreRows, "file"), mirror)
	}
	if v.Held {
		fmt.Fprintf(w, "to approve what it removes: %s\n", site.Approve(mirror, v.Approval))
	}
}

func approveCmd(g *globals) *cobra.Command {
	var file string
	var reject bool
	c := &cobra.Command{
		Use:   "approve MIRROR DIGEST",
		Short: "Run a held mirror with the removals of that plan approved",
		Long: `Run a held mirror with the removals of that plan approved. Eight characters of
the digest are enough. It stands for what the plan removes, and holds while
upstream only adds; what is not held is refused.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			mirror := args[0]
			if args[1] == "" {
				return fmt.Errorf("no digest is given; starter plan %s ends with it: %w", mirror, errUsage)
			}
			digest, err := heldDigest(c, file, mirror, args[1])
			if err != nil {
				return err
			}
			if reject {
				q := activities.Question{Verb: activities.VerbHold, Reason: "plan " + args[1] + " was rejected"}
				return command(c, g, file, mirror, q, "is on hold: "+q.Reason)
			}
			return mirrorRun(c, g, file, mirror, workflows.Order{Approved: digest})
		},
	}
	specFlag(c, &file)
	c.Flags().BoolVar(&reject, "reject", false, "put the mirror on hold instead")
	return c
}

// heldDigest is the whole digest of the held plan that a person names by its beginning.
func heldDigest(c *cobra.Command, file, mirror, digest string) (whole string, err error) {
	err = withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
		a, err := ask(ctx, t, spec, mirror, activities.Question{Verb: activities.VerbPlan, Plan: digest})
		if err == nil {
			whole = a.Plan.Digest
		}
		var no answered
		if errors.As(err, &no) && no.kind == string(fault.Config) {
			return refused{no}
		}
		return err
	})
	return whole, err
}
