package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/service"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func scheduleCmd(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "schedule",
		Short: "Let Temporal start the cycles of a spec",
		Long: `Let Temporal start the cycles of a spec: every cycle.every, or by cycle.cron in
cycle.time-zone, with cycle.jitter. A cycle that is due while one still runs is
left out; of those that were missed in an outage one is made up for, if it is not
later than cycle.catch-up. A worker with the role cycle runs them.`,
	}
	c.AddCommand(scheduleApplyCmd(g), scheduleListCmd(g))
	for _, v := range []struct {
		use, short, done string
		do               func(context.Context, client.ScheduleHandle) error
	}{
		{"pause", "Start no more cycles until resume; one that runs goes on", "paused", func(ctx context.Context, h client.ScheduleHandle) error {
			return h.Pause(ctx, client.SchedulePauseOptions{Note: "paused by starter"})
		}},
		{"resume", "Start cycles again", "goes on", func(ctx context.Context, h client.ScheduleHandle) error {
			return h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: "resumed by starter"})
		}},
		{"trigger", "Start a cycle now, unless one runs", "triggered; a cycle that runs already is left alone", func(ctx context.Context, h client.ScheduleHandle) error {
			return h.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP})
		}},
		{"delete", "Remove the schedule; a cycle that runs goes on", "removed", func(ctx context.Context, h client.ScheduleHandle) error { return h.Delete(ctx) }},
	} {
		c.AddCommand(&cobra.Command{Use: v.use + " [FILE]", Short: v.short, Args: cobra.MaximumNArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return withSpec(c, specFile(args), func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
					if err := v.do(ctx, t.ScheduleClient().GetHandle(ctx, scheduleID(spec))); err != nil {
						return missing(spec, err)
					}
					_, err := fmt.Fprintf(c.OutOrStdout(), "schedule %s: %s\n", scheduleID(spec), v.done)
					return err
				})
			}})
	}
	return c
}

func scheduleID(spec *mirrorspec.Spec) string { return workflows.CycleID(spec.Cycle.Name) }

// missing says what to do about a schedule that is not there.
func missing(spec *mirrorspec.Spec, err error) error {
	var none *serviceerror.NotFound
	if !errors.As(err, &none) {
		return err
	}
	return &fault.Error{Kind: fault.Gone, Op: "schedule: find", Subject: scheduleID(spec), Err: errors.New("there is no such schedule"), Advice: "starter schedule apply"}
}

func scheduleApplyCmd(g *globals) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "apply [FILE]",
		Short: "Make the schedule what the spec says; safe to repeat",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withSpec(c, specFile(args), func(ctx context.Context, t client.Client, spec *mirrorspec.Spec) error {
				// A server that lacks them would refuse every step of every workflow.
				if err := registerAttributes(ctx, t, namespace()); err != nil {
					return err
				}
				changes, err := applySchedule(ctx, t.ScheduleClient(), spec, dry)
				if err != nil {
					return err
				}
				return printChanges(c.OutOrStdout(), g.json, dry, scheduleID(spec), changes)
			})
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	return c
}

func printChanges(w io.Writer, asJSON, dry bool, id string, changes []string) error {
	if asJSON {
		return printJSON(w, "schedule", map[string]any{"id": id, "changes": slices.Concat([]string{}, changes), "dry_run": dry})
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintf(w, "schedule %s: unchanged\n", id)
		return err
	}
	verb := "changed"
	if dry {
		verb = "would change"
	}
	for _, change := range changes {
		if _, err := fmt.Fprintf(w, "schedule %s: %s %s\n", id, verb, change); err != nil {
			return err
		}
	}
	return nil
}

// applied is what the memo of a schedule says of the spec that it was made
// from: the server gives back its own rendering of a schedule, which cannot be
// compared.
type applied struct {
	When   string            `json:"when"`
	Spec   string            `json:"spec"`   // digest of the whole
	Tables map[string]string `json:"tables"` // digests of its parts, for the difference
}

const memoKey = "mirrorcycle"

func appliedOf(spec *mirrorspec.Spec) (applied, error) {
	a := applied{When: when(spec), Tables: map[string]string{}}
	digest := func(v any) (string, error) {
		data, err := json.Marshal(v)
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:8]), err
	}
	var err error
	if a.Spec, err = digest(spec); err != nil {
		return a, err
	}
	parts := map[string]any{"cycle": spec.Cycle, "storage": spec.Storage, "limits": spec.Limits, "afs": spec.AFS}
	if spec.Notify != nil {
		parts["notify"] = spec.Notify
	}
	for _, r := range spec.Regions {
		parts["region "+r.Name] = r
	}
	for _, m := range spec.Mirrors {
		parts["mirror "+m.Name] = m
	}
	for name, part := range parts {
		if a.Tables[name], err = digest(part); err != nil {
			return a, err
		}
	}
	return a, nil
}

// difference lists what has to change.
func (a applied) difference(want applied) []string {
	var out []string
	if a.When != want.When {
		out = append(out, fmt.Sprintf("when: %s -> %s", a.When, want.When))
	}
	for name, digest := range want.Tables {
		switch old, ok := a.Tables[name]; {
		case !ok:
			out = append(out, name+": added")
		case old != digest && (name != "cycle" || a.When == want.When):
			out = append(out, name+": changed")
		}
	}
	for name := range a.Tables {
		if _, ok := want.Tables[name]; !ok {
			out = append(out, name+": removed")
		}
	}
	slices.Sort(out)
	if len(out) == 0 && a.Spec != want.Spec { // the parts are the same
		out = []string{"order of mirrors or regions: changed"}
	}
	return out
}

// when says in words when cycles start.
func when(spec *mirrorspec.Spec) string {
	c := spec.Cycle
	text := "every " + c.Every.String()
	if c.Cron != "" {
		text = "cron " + c.Cron
		if c.TimeZone != "" {
			text += " " + c.TimeZone
		}
	}
	if c.Jitter > 0 {
		text += " jitter " + c.Jitter.String()
	}
	return text + " catch-up " + c.CatchUp.String()
}

// applySchedule makes the schedule of a spec, or changes it. A schedule that is paused stays so.
func applySchedule(ctx context.Context, schedules client.ScheduleClient, spec *mirrorspec.Spec, dry bool) ([]string, error) {
	want, err := appliedOf(spec)
	if err != nil {
		return nil, err
	}
	h := schedules.GetHandle(ctx, scheduleID(spec))
	d, err := h.Describe(ctx)
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		err = nil
		if !dry {
			if _, err = schedules.Create(ctx, scheduleOptions(spec, want)); err == nil {
				awaitListed(ctx, schedules, scheduleID(spec))
			}
		}
		return []string{"all of it: " + want.When}, err
	}
	if err != nil {
		return nil, fmt.Errorf("schedule: look at %s: %w", scheduleID(spec), err)
	}
	have, err := memoOf(d)
	if err != nil {
		return nil, err
	}
	changes := have.difference(want)
	if len(changes) == 0 || dry {
		return changes, nil
	}
	o := scheduleOptions(spec, want)
	return changes, h.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		s := in.Description.Schedule
		s.Spec, s.Action = &o.Spec, o.Action
		s.Policy = &client.SchedulePolicies{Overlap: o.Overlap, CatchupWindow: o.CatchupWindow}
		return &client.ScheduleUpdate{Schedule: &s}, nil
	}})
}

// awaitListed waits until a new schedule is listed, which Temporal does a moment
// after it has made one. A list that takes longer is no failure.
func awaitListed(ctx context.Context, schedules client.ScheduleClient, id string) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(10*time.Second))
	_ = backoff.Retry(func() error {
		all, err := listSchedules(ctx, schedules)
		if err != nil || slices.ContainsFunc(all, func(s scheduled) bool { return s.ID == id }) {
			return nil
		}
		return errors.New("not yet")
	}, backoff.WithContext(wait, ctx))
}

// memoOf reads the memo of the action: that of a schedule itself cannot be updated.
func memoOf(d *client.ScheduleDescription) (applied, error) {
	var a applied
	action, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction)
	if !ok {
		return a, nil
	}
	payload, ok := action.Memo[memoKey].(*commonpb.Payload)
	if !ok {
		return a, nil // made by somebody else: everything differs
	}
	if err := service.Decode(&commonpb.Payloads{Payloads: []*commonpb.Payload{payload}}, &a); err != nil {
		return applied{}, fmt.Errorf("schedule: read the memo: %w", err)
	}
	return a, nil
}

func scheduleOptions(spec *mirrorspec.Spec, a applied) client.ScheduleOptions {
	c := spec.Cycle
	in := workflows.CycleInput{Spec: *spec, Due: mirrorspec.Duration(c.Period() - time.Duration(c.Jitter))}
	o := client.ScheduleOptions{ID: scheduleID(spec), Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: time.Duration(c.CatchUp),
		Action: &client.ScheduleWorkflowAction{ID: workflows.CycleID(c.Name), Workflow: "MirrorCycle", TaskQueue: workflows.Queue,
			Args: []any{in}, WorkflowExecutionTimeout: in.Timeout(), StaticSummary: "cycle of " + c.Name, StaticDetails: workflows.AboutCycle(*spec), Memo: map[string]any{memoKey: a}}}
	o.Spec = client.ScheduleSpec{Jitter: time.Duration(c.Jitter)}
	if c.Cron != "" {
		o.Spec.CronExpressions, o.Spec.TimeZoneName = []string{c.Cron}, c.TimeZone
	} else {
		o.Spec.Intervals = []client.ScheduleIntervalSpec{{Every: time.Duration(c.Every)}}
	}
	return o
}

// triggerCycle starts a cycle through the spec's schedule, or joins the one
// that it runs. Without a schedule, ok is false.
func triggerCycle(ctx context.Context, t client.Client, spec *mirrorspec.Spec, note io.Writer) (run client.WorkflowRun, ok bool, err error) {
	h := t.ScheduleClient().GetHandle(ctx, scheduleID(spec))
	d, err := h.Describe(ctx)
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("schedule: look at %s: %w", scheduleID(spec), err)
	}
	want, err := appliedOf(spec)
	if err != nil {
		return nil, false, err
	}
	have, err := memoOf(d)
	if err != nil {
		return nil, false, err
	}
	if have.Spec != want.Spec {
		// What is in FILE is what was asked for; the schedule would run another.
		fmt.Fprintf(note, "note: the schedule has another version of this spec; starter schedule apply\n")
		return nil, false, nil
	}
	last, triggered := lastAction(d), false
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if n := len(d.Info.RunningWorkflows); n > 0 {
			w := d.Info.RunningWorkflows[n-1]
			return t.GetWorkflow(ctx, w.WorkflowID, w.FirstExecutionRunID), true, nil
		}
		// A short cycle may have ended by now.
		if w := lastAction(d); w != nil && (last == nil || w.FirstExecutionRunID != last.FirstExecutionRunID) {
			return t.GetWorkflow(ctx, w.WorkflowID, w.FirstExecutionRunID), true, nil
		}
		if !triggered {
			if err := h.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP}); err != nil {
				return nil, false, fmt.Errorf("schedule: trigger %s: %w", scheduleID(spec), err)
			}
			triggered = true
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(pause):
		}
		if d, err = h.Describe(ctx); err != nil {
			return nil, false, fmt.Errorf("schedule: look at %s: %w", scheduleID(spec), err)
		}
	}
}

func lastAction(d *client.ScheduleDescription) *client.ScheduleWorkflowExecution {
	if n := len(d.Info.RecentActions); n > 0 {
		return d.Info.RecentActions[n-1].StartWorkflowResult
	}
	return nil
}
