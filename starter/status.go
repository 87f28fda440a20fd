package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"mirrorcycle/activities"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/site"
	"mirrorcycle/mirrorspec"
)

// mirrorStatus is what status says of one mirror.
type mirrorStatus struct {
	activities.MirrorStatus
	Kind    mirrorspec.Kind `json:"kind"`
	Error   string          `json:"error,omitempty"`
	Regions []regionStatus  `json:"regions"`
}

type regionStatus struct {
	Region string `json:"region"`
	Serves int64  `json:"serves"`
	Error  string `json:"error,omitempty"`
}

func statusCmd(g *globals) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show every mirror's generation and what each region serves",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withSpec(c, file, func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				var all []mirrorStatus
				code := exitDone
				for _, m := range spec.Mirrors {
					s := statusOf(ctx, t, spec, m)
					if err := ctx.Err(); err != nil {
						return err
					}
					if !s.fine() {
						code = exitPartly
					}
					all = append(all, s)
				}
				if err := printStatus(c.OutOrStdout(), g.json, all); err != nil || code == exitDone {
					return err
				}
				return status(code)
			})
		},
	}
	specFlag(c, &file)
	return c
}

func statusOf(ctx context.Context, t client.Client, spec *mirrorspec.Spec, m mirrorspec.Mirror) mirrorStatus {
	out := mirrorStatus{Kind: m.Kind}
	a, err := ask(ctx, t, spec, m.Name, activities.Question{Verb: activities.VerbStatus, Cycle: spec.Cycle.Name})
	if err != nil {
		out.Mirror, out.Error = m.Name, err.Error()
		return out
	}
	out.MirrorStatus = *a.Status
	for _, r := range spec.RegionsOf(m.Name) {
		seen := release.ProbeRegion(ctx, r, m.Name, out.Tree)
		out.Regions = append(out.Regions, regionStatus{r.Name, seen.Serves, seen.Error})
	}
	return out
}

// fine reports whether every region serves the sealed generation and nothing waits for a person.
func (s mirrorStatus) fine() bool {
	for _, r := range s.Regions {
		if r.Serves != s.Sealed {
			return false
		}
	}
	for _, site := range s.Sites {
		if site.Error != "" {
			return false
		}
	}
	return s.Error == "" && s.SitesFail == "" && s.Hold == "" && s.Last == nil && s.Sealed > 0 && s.Sealed == s.Committed
}

func printStatus(w io.Writer, asJSON bool, all []mirrorStatus) error {
	if asJSON {
		return printJSON(w, "mirrors", all)
	}
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "MIRROR\tKIND\tGENERATION\tAGE\tOBJECTS\tRETAINED\tREGIONS\tNOTE")
	for _, s := range all {
		var regions []string
		for _, r := range s.Regions {
			text := fmt.Sprintf("%s %d", r.Region, r.Serves)
			if r.Error != "" {
				text = r.Region + " down"
			}
			for _, site := range s.Sites { // the site's own server may say otherwise than the URL
				if site.Region == r.Region && site.Serves != r.Serves {
					text += fmt.Sprintf(" (site %s)", siteHolds(site))
				}
			}
			regions = append(regions, text)
		}
		age := ""
		if !s.Time.IsZero() {
			age = time.Since(s.Time).Round(time.Second).String()
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%d\t%d\t%s\t%s\n", s.Mirror, s.Kind, s.Sealed, age, s.Objects, s.Retained, strings.Join(regions, ", "), s.note())
	}
	return tw.Flush()
}

// siteHolds says what an AFS site holds, and how much it may still have to get.
func siteHolds(site activities.Outcome) string {
	text := fmt.Sprint(site.Serves)
	if site.Serves == 0 {
		text = "unknown"
	}
	if site.Behind > 0 {
		text += fmt.Sprintf(", up to %.1f MB behind", float64(site.Behind)*1024/1e6)
	}
	return text
}

func (s mirrorStatus) note() string {
	switch {
	case s.Error != "":
		return s.Error
	case s.Hold != "":
		return "on hold: " + s.Hold
	case s.SitesFail != "":
		return s.SitesFail
	case s.Committed != s.Sealed:
		return fmt.Sprintf("generation %d is not verified", s.Committed)
	case s.Last != nil && s.Last.Plan != "":
		return fmt.Sprintf("held: %s: look at it: starter plan %s; then: %s", strings.Join(s.Last.Reasons, "; "), s.Mirror, site.Approve(s.Mirror, s.Last.Plan))
	case s.Last != nil:
		return s.Last.Outcome + ": " + s.Last.Error
	case s.Missing+s.Refused > 0:
		text := incomplete(s.Missing, s.Refused)
		if len(s.Lacks) > 0 {
			text += "; " + s.Lacks[0].Reason
		}
		return text
	}
	return ""
}

// incomplete says how much of what upstream lists a mirror has not.
func incomplete(missing, refused int64) string {
	return fmt.Sprintf("upstream lists %d files more: %d could not be had, %d cannot be believed", missing+refused, missing, refused)
}
