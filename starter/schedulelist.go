package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/telemetry"
)

// scheduled is one line of schedule list.
type scheduled struct {
	ID     string    `json:"id"`
	When   string    `json:"when"`
	Paused bool      `json:"paused"`
	Note   string    `json:"note,omitempty"`
	Next   time.Time `json:"next,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	Runs   []string  `json:"runs,omitempty"` // workflow IDs of cycles under way
	// Cycles counts those that the schedule started, LeftOut those that were due
	// while one still ran, Missed those that were due in an outage and are not made up for.
	Cycles  int `json:"cycles"`
	LeftOut int `json:"left_out"`
	Missed  int `json:"missed"`
}

// state says in words what the schedule does now, and which cycles never came about.
func (s scheduled) state() string {
	text := "waiting"
	switch {
	case len(s.Runs) > 0:
		text = "running " + s.Runs[0]
	case s.Paused:
		text = "paused: " + s.Note
	}
	if s.Paused && len(s.Runs) > 0 {
		text += ", then paused: " + s.Note
	}
	if s.LeftOut > 0 {
		text += fmt.Sprintf("; %d left out, one still ran", s.LeftOut)
	}
	if s.Missed > 0 {
		text += fmt.Sprintf("; %d missed in an outage", s.Missed)
	}
	return text
}

func scheduleListCmd(g *globals) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the schedules of cycles", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			t, err := dial(c.Context(), new(telemetry.Telemetry))
			if err != nil {
				return err
			}
			defer t.Close()
			all, err := listSchedules(c.Context(), t.ScheduleClient())
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(c.OutOrStdout(), "schedules", all)
			}
			tw := tabwriter.NewWriter(c.OutOrStdout(), 2, 8, 2, ' ', 0)
			fmt.Fprintln(tw, "SCHEDULE\tWHEN\tNEXT\tLAST\tCYCLES\tSTATE")
			for _, s := range all {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\n", s.ID, s.When, clockTime(s.Next), clockTime(s.Last), s.Cycles, s.state())
			}
			return tw.Flush()
		}}
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func listSchedules(ctx context.Context, schedules client.ScheduleClient) ([]scheduled, error) {
	it, err := schedules.List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, fmt.Errorf("schedule: list: %w", err)
	}
	all := []scheduled{}
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("schedule: list: %w", err)
		}
		if e.WorkflowType.Name != "MirrorCycle" {
			continue
		}
		d, err := schedules.GetHandle(ctx, e.ID).Describe(ctx)
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			continue // deleted, and listed for a moment longer
		}
		if err != nil {
			return nil, fmt.Errorf("schedule: look at %s: %w", e.ID, err)
		}
		memo, err := memoOf(d)
		if err != nil {
			return nil, err
		}
		s := scheduled{ID: e.ID, When: memo.When, Paused: d.Schedule.State.Paused, Note: d.Schedule.State.Note,
			Cycles: d.Info.NumActions, LeftOut: d.Info.NumActionsSkippedOverlap, Missed: d.Info.NumActionsMissedCatchupWindow}
		if len(d.Info.NextActionTimes) > 0 {
			s.Next = d.Info.NextActionTimes[0]
		}
		if n := len(d.Info.RecentActions); n > 0 {
			s.Last = d.Info.RecentActions[n-1].ActualTime
		}
		for _, r := range d.Info.RunningWorkflows {
			s.Runs = append(s.Runs, r.WorkflowID)
		}
		all = append(all, s)
	}
	return all, nil
}
