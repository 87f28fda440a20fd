package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// ask puts a question to a mirror's storage through Temporal.
func ask(ctx context.Context, t client.Client, spec *mirrorspec.Spec, mirror string, q activities.Question) (activities.Answer, error) {
	var out activities.Answer
	targets := workflows.Targets(*spec, []string{mirror})
	if len(targets) == 0 {
		return out, fmt.Errorf("no mirror is called %q; the spec has %s: %w", mirror, strings.Join(names(spec), ", "), errUsage)
	}
	q.Target, q.Regions = targets[0], spec.RegionsOf(mirror)
	run, err := t.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: workflows.AskID(mirror, strings.ToLower(rand.Text()[:8])), TaskQueue: workflows.Queue,
		StaticSummary: q.Verb + " " + mirror}, "Ask", q)
	if err != nil {
		return out, err
	}
	stop := sayWaiting(ctx, os.Stderr, t, askRoles(spec))
	err = run.Get(ctx, &out)
	stop()
	if ctx.Err() != nil {
		abandon(t, run)
		return out, ctx.Err()
	}
	if err != nil {
		var a answered
		a.kind, a.text = activities.FaultOf(err)
		return out, a
	}
	return out, nil
}

// answered is the fault that a worker answered with.
type answered struct{ kind, text string }

func (a answered) Error() string { return a.text }

// refused is a worker's word that what was asked is a mistake on the command line.
type refused struct{ answered }

func (r refused) Unwrap() error { return fault.Config }

func names(spec *mirrorspec.Spec) []string {
	var out []string
	for _, m := range spec.Mirrors {
		out = append(out, m.Name)
	}
	return out
}

// withSpec loads the spec, connects, and runs f.
func withSpec(c *cobra.Command, file string, f func(context.Context, client.Client, *mirrorspec.Spec) error) error {
	spec, err := loadFlag(file)
	if err != nil {
		return err
	}
	return observed(c, func(ctx context.Context, tel *telemetry.Telemetry) error {
		t, err := dial(ctx, tel)
		if err != nil {
			return err
		}
		defer t.Close()
		return f(ctx, t, spec)
	})
}

func releasesCmd(g *globals) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "releases MIRROR",
		Short: "List the generations that a mirror can be rolled back to",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				a, err := ask(ctx, t, spec, args[0], activities.Question{Verb: activities.VerbReleases})
				if err != nil {
					return err
				}
				if g.json {
					return printJSON(c.OutOrStdout(), "generations", a.Generations)
				}
				tw := tabwriter.NewWriter(c.OutOrStdout(), 2, 8, 2, ' ', 0)
				fmt.Fprintln(tw, "GENERATION\tTIME\tVERIFIED\tOBJECTS\tADDED\tDROPPED")
				for _, r := range a.Generations {
					fmt.Fprintf(tw, "%d\t%s\t%v\t%d\t%d\t%d\n", r.Number, r.Time.Format(time.RFC3339), r.Sealed, r.Objects, r.Changes.Added, r.Changes.Dropped)
				}
				return tw.Flush()
			})
		},
	}
	specFlag(c, &file)
	return c
}

func whyCmd(g *globals) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "why URL|MIRROR/PATH",
		Short: "Explain where a file comes from, or why it is no longer there",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				mirror, path, err := locate(spec, args[0])
				if err != nil {
					return err
				}
				a, err := ask(ctx, t, spec, mirror, activities.Question{Verb: activities.VerbWhy, Path: path})
				if err != nil {
					return err
				}
				if g.json {
					return printJSON(c.OutOrStdout(), "why", a.Why)
				}
				fmt.Fprintln(c.OutOrStdout(), explain(mirror, a.Why))
				return nil
			})
		},
	}
	specFlag(c, &file)
	return c
}

// locate finds the mirror and the path below it in a region's URL or in "mirror/path".
func locate(spec *mirrorspec.Spec, arg string) (mirror, path string, err error) {
	rest := arg
	for _, r := range spec.Regions {
		if after, ok := strings.CutPrefix(arg, r.URL+"/"); ok && r.URL != "" && len(after) < len(rest) { // the longest URL
			rest = after
		}
	}
	// A URL is escaped, and ends before "?" and "#". A path may be either: names
	// of files hold "#", and logs of web servers hold "%2b".
	if rest != arg || strings.Contains(arg, "://") {
		if u, err := url.Parse(rest); err == nil {
			rest = u.Path
		}
	} else if plain, err := url.PathUnescape(rest); err == nil {
		rest = plain
	}
	rest = strings.TrimPrefix(rest, "/")
	mirror, path, ok := strings.Cut(rest, "/")
	if _, known := spec.Mirror(mirror); !known || !ok || path == "" {
		return "", "", fmt.Errorf("%q is no URL of a region and no path below a mirror (%s): %w", arg, strings.Join(names(spec), ", "), errUsage)
	}
	if strings.HasSuffix(path, "/") {
		path += "index.html"
	}
	return mirror, path, nil
}

func explain(mirror string, w *activities.Why) string {
	switch {
	case w.Lacks != "":
		return fmt.Sprintf("%s/%s: upstream lists it, but: %s", mirror, w.Path, w.Lacks)
	case w.Named:
		return fmt.Sprintf("%s/%s: %s of %d bytes, SHA-256 %s; named as it is since generation %d at the latest", mirror, w.Path, w.Kind, w.Size, w.SHA256, w.Since)
	case w.DroppedBy > 0 && w.InTree:
		return fmt.Sprintf("%s/%s: upstream no longer names it since generation %d; a region deletes it when no client can hold an index that does", mirror, w.Path, w.DroppedBy)
	case w.DroppedBy > 0:
		return fmt.Sprintf("%s/%s: dropped by generation %d and deleted", mirror, w.Path, w.DroppedBy)
	case w.InTree:
		return fmt.Sprintf("%s/%s: in the tree, but no generation names it (yet): a run may be fetching it", mirror, w.Path)
	}
	return fmt.Sprintf("%s/%s: no kept generation names it; is it in the spec's suites, components, architectures or projects?", mirror, w.Path)
}

func verifyCmd(g *globals) *cobra.Command {
	var file string
	var full, deep bool
	c := &cobra.Command{
		Use:   "verify [MIRROR]",
		Short: "Doubt the trees as a stranger: signatures, digests, presence",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				mirrors := names(spec)
				if len(args) > 0 {
					mirrors = args
				}
				bad := false
				all := map[string]*activities.Verified{}
				for _, m := range mirrors {
					a, err := ask(ctx, t, spec, m, activities.Question{Verb: activities.VerbVerify, Full: full, Deep: deep})
					if err != nil {
						return err
					}
					all[m] = a.Verified
					bad = bad || len(a.Verified.Problems) > 0
					if !g.json {
						v := a.Verified
						fmt.Fprintf(c.OutOrStdout(), "%s: generation %d: %s and %s looked at, %d bytes hashed, %s\n", m, v.Number,
							plural(v.Indexes, "index file"), plural(v.Objects, "object"), v.Hashed, plural(int64(len(v.Problems)), "problem"))
						for _, p := range v.Problems {
							fmt.Fprintln(c.OutOrStdout(), "  "+p)
						}
					}
				}
				if g.json {
					if err := printJSON(c.OutOrStdout(), "verified", all); err != nil {
						return err
					}
				}
				if bad {
					return status(exitFailed)
				}
				return nil
			})
		},
	}
	specFlag(c, &file)
	c.Flags().BoolVar(&full, "full", false, "every file, and no file beside them")
	c.Flags().BoolVar(&deep, "deep", false, "hash every file as well")
	return c
}

func holdCmd(g *globals) *cobra.Command {
	var file, reason string
	c := &cobra.Command{
		Use:   "hold MIRROR",
		Short: "Stop a mirror from taking anything new until it is resumed",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return command(c, g, file, args[0], activities.Question{Verb: activities.VerbHold, Reason: reason}, "is on hold: "+reason)
		},
	}
	specFlag(c, &file)
	c.Flags().StringVar(&reason, "reason", "by hand", "why, as status shows it")
	return c
}

func resumeCmd(g *globals) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "resume MIRROR",
		Short: "Let a mirror on hold go on with the next cycle",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return command(c, g, file, args[0], activities.Question{Verb: activities.VerbResume}, "goes on with the next cycle")
		},
	}
	specFlag(c, &file)
	return c
}

func command(c *cobra.Command, g *globals, file, mirror string, q activities.Question, done string) error {
	return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
		a, err := ask(ctx, t, spec, mirror, q)
		if err == nil && q.Verb == activities.VerbHold {
			err = holdRefresh(ctx, t, a.Status.Tree, q.Reason)
		}
		if err != nil {
			return err
		}
		if g.json {
			return printJSON(c.OutOrStdout(), q.Verb, mirror)
		}
		fmt.Fprintln(c.OutOrStdout(), mirror, done)
		return nil
	})
}

// holdRefresh stops the refresh of a tree that runs now, if it can still be stopped.
func holdRefresh(ctx context.Context, t client.Client, tree, reason string) error {
	err := t.SignalWorkflow(ctx, workflows.RefreshID(tree), "", workflows.SignalHold, reason)
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return nil
	}
	return err
}
