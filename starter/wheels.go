package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// wheelFlags are what all commands about wheels have.
type wheelFlags struct{ file, mirror, platform string }

func (f *wheelFlags) add(c *cobra.Command) {
	specFlag(c, &f.file)
	c.Flags().StringVar(&f.mirror, "mirror", "", "the wheels mirror; default all of the spec")
	c.Flags().StringVar(&f.platform, "platform", "", "the platform; default all")
}

func wheelsCmd(g *globals) *cobra.Command {
	var f wheelFlags
	var failed bool
	c := &cobra.Command{
		Use:   "wheels",
		Short: "Show the state of every wheel that is wanted: built, upstream, failed, skipped or due",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return askWheels(c, g, f, activities.Question{Verb: activities.VerbWheels, Failed: failed})
		},
	}
	f.add(c)
	c.Flags().BoolVar(&failed, "failed", false, "only those whose last build failed")
	c.AddCommand(wheelsRetryCmd(g), wheelsSkipCmd(g))
	return c
}

func wheelsRetryCmd(g *globals) *cobra.Command {
	var f wheelFlags
	q := activities.Question{Verb: activities.VerbRetry}
	c := &cobra.Command{
		Use:   "retry [PIN]",
		Short: "Build a failed or skipped wheel again in the next cycle; PIN is as in name===1.0",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Pin = args[0]
			}
			many := q.Failed || q.Class != ""
			if many == (q.Pin != "") || many && q.Rebuild {
				return fmt.Errorf("name a PIN, or --failed, or --class, one of them: %w", errUsage)
			}
			return askWheels(c, g, f, q)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&q.Rebuild, "rebuild", false, "also if it is built: the new wheel gets the next build number, and takes its place")
	c.Flags().BoolVar(&q.Failed, "failed", false, "all whose last build failed")
	c.Flags().StringVar(&q.Class, "class", "", "all whose last build failed with this class, such as header-missing")
	return c
}

func wheelsSkipCmd(g *globals) *cobra.Command {
	var f wheelFlags
	var reason, until string
	c := &cobra.Command{
		Use:   "skip PIN --reason REASON",
		Short: "Do not build a wheel, and take one that was built off the index",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			end, err := parseUntil(until, time.Now())
			if err != nil {
				return err
			}
			return askWheels(c, g, f, activities.Question{Verb: activities.VerbSkip, Pin: args[0], Reason: reason, Until: end})
		},
	}
	f.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for those who ask later")
	c.Flags().StringVar(&until, "until", "", "a date such as 2026-12-31, or a time from now such as 14d; default for ever")
	_ = c.MarkFlagRequired("reason")
	return c
}

// parseUntil reads a date, whose end counts, or a time from now.
func parseUntil(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		end := day.Add(24 * time.Hour)
		if !end.After(now) {
			return end, fmt.Errorf("--until %s is over: %w", s, errUsage)
		}
		return end, nil
	}
	d, err := mirrorspec.ParseDuration(s)
	if err != nil || d <= 0 {
		return time.Time{}, fmt.Errorf("--until %q is neither a date such as 2026-12-31 nor a time from now such as 14d: %w", s, errUsage)
	}
	return now.Add(time.Duration(d)).UTC(), nil
}

func askWheels(c *cobra.Command, g *globals, f wheelFlags, q activities.Question) error {
	return withSpec(c, f.file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
		q.Platform = f.platform
		all := []activities.WheelState{}
		asked := 0
		for _, m := range spec.Mirrors {
			if m.Kind != mirrorspec.Wheels || f.mirror != "" && m.Name != f.mirror {
				continue
			}
			asked++
			a, err := ask(ctx, t, spec, m.Name, q)
			if err != nil {
				return err
			}
			all = append(all, a.Wheels...)
		}
		if asked == 0 {
			return fmt.Errorf("the spec has no such wheels mirror: %w", errUsage)
		}
		if g.json {
			return printJSON(c.OutOrStdout(), "wheels", all)
		}
		return printWheels(c.OutOrStdout(), all)
	})
}

func printWheels(w io.Writer, all []activities.WheelState) error {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PLATFORM\tPIN\tSTATE\tNOTE")
	counts := map[string]int{}
	var order []string
	for _, s := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Platform, s.Pin, s.State, wheelNote(s))
		key := s.Platform + " " + s.State
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	slices.Sort(order)
	for _, key := range order {
		platform, state, _ := strings.Cut(key, " ")
		fmt.Fprintf(w, "%s: %d %s\n", platform, counts[key], state)
	}
	return nil
}

func wheelNote(s activities.WheelState) string {
	var notes []string
	add := func(format, value string) {
		if value != "" {
			notes = append(notes, fmt.Sprintf(format, value))
		}
	}
	add("%s", s.File)
	add("built on %s", s.From)
	add("needs %s", strings.Join(s.Libraries, ", "))
	add("%s", s.Class)
	add("%s", s.Message)
	add("%s", s.Reason)
	if !s.Next.IsZero() {
		add("again after %s", s.Next.Format(time.RFC3339))
	}
	if !s.Until.IsZero() {
		add("until %s", s.Until.Format(time.RFC3339))
	}
	if s.Class != "" {
		add("log %s", s.Log)
	}
	return strings.Join(notes, "; ")
}
