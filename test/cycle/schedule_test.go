package cycle_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// said runs a starter command on the house's spec and server.
func said(t *testing.T, h *lab.House, code int, args ...string) string {
	t.Helper()
	cmd := command(t, args...)
	cmd.Env = append(cmd.Env, "TEMPORAL_ADDRESS="+h.Address, "MIRRORCYCLE_SPEC="+filepath.Join(h.Dir, "mirrors.toml"))
	read := cmd.CombinedOutput
	if slices.Contains(args, "--json") { // what it waits for stands beside it
		read = cmd.Output
	}
	out, err := read()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("starter %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

// TestScheduleIsListedAtOnce: Temporal lists schedules a moment after it made or
// deleted them; whoever applies one and then looks must see it.
func TestScheduleIsListedAtOnce(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), Every: "24h"})
	for range 3 {
		said(t, h, 0, "schedule", "apply")
		contains(t, said(t, h, 0, "schedule", "list"), workflows.CycleID(h.Spec.Cycle.Name), "waiting")
		said(t, h, 0, "schedule", "delete")
		contains(t, said(t, h, 0, "schedule", "list"), "SCHEDULE")
	}
}

// TestSchedule: applied twice it is the same, changed it says what changes,
// paused it stays, and a run goes through it and joins the one that it started.
func TestSchedule(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), Every: "24h"})
	contains(t, said(t, h, 1, "schedule", "trigger"), "there is no such schedule", "starter schedule apply")
	contains(t, said(t, h, 0, "schedule", "apply", "--dry-run"), "would change all of it: every 1d")
	contains(t, said(t, h, 0, "schedule", "apply"), "changed all of it: every 1d")
	contains(t, said(t, h, 0, "schedule", "apply"), "unchanged")
	contains(t, said(t, h, 0, "schedule", "list"), workflows.CycleID(h.Spec.Cycle.Name), "every 1d", "waiting")

	contains(t, said(t, h, 0, "run"), "debian: done")
	contains(t, said(t, h, 0, "run"), "debian: unchanged")

	// A run while one is under way is the same run.
	reached, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	u.SetGate(func(string) { once.Do(func() { close(reached) }); <-gate })
	first, second := started(t, h), started(t, h)
	<-reached
	third := started(t, h)
	if first != second || first != third || !strings.HasPrefix(first, workflows.CycleID(h.Spec.Cycle.Name)+"-") {
		t.Errorf("runs beside each other: %s, %s, %s", first, second, third)
	}
	contains(t, said(t, h, 0, "schedule", "list"), "running "+first)
	said(t, h, 0, "schedule", "trigger") // left out
	contains(t, said(t, h, 0, "schedule", "list"), "running "+first)
	close(gate)
	if err := h.Client.GetWorkflow(t.Context(), first, "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}

	said(t, h, 0, "schedule", "pause")
	contains(t, said(t, h, 0, "schedule", "list"), "paused")
	file := filepath.Join(h.Dir, "mirrors.toml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(strings.Replace(string(data), `every = "24h"`, `every = "12h"`, 1), `grace = "1h"`, `grace = "2h"`, 1)
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, said(t, h, 0, "run"), "another version of this spec", "debian: ")
	contains(t, said(t, h, 0, "schedule", "apply", "--dry-run"), "would change when: every 1d", "every 12h", "would change mirror debian: changed")
	contains(t, said(t, h, 0, "schedule", "apply"), "changed when", "changed mirror debian")
	contains(t, said(t, h, 0, "schedule", "apply"), "unchanged")
	contains(t, said(t, h, 0, "schedule", "list"), "paused", "every 12h")
	said(t, h, 0, "schedule", "resume")
	contains(t, said(t, h, 0, "schedule", "list"), "waiting")
	// What the schedule starts from now on has the changed spec.
	next := started(t, h)
	if old, now := grace(t, h, first), grace(t, h, next); old != time.Hour || now != 2*time.Hour {
		t.Errorf("grace was %s, and is %s after the change of the spec to 2h", old, now)
	}
	if err := h.Client.GetWorkflow(t.Context(), next, "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	said(t, h, 0, "schedule", "delete")
	said(t, h, 1, "schedule", "pause")
	contains(t, said(t, h, 0, "run"), "debian: unchanged")
}

// started starts a run and returns its workflow.
func started(t *testing.T, h *lab.House) string {
	t.Helper()
	var out struct{ Started struct{ Workflow string } }
	if text := said(t, h, 0, "run", "--detach", "--json"); json.Unmarshal([]byte(text), &out) != nil || out.Started.Workflow == "" {
		t.Fatalf("no workflow in %s", text)
	}
	return out.Started.Workflow
}

// grace is what the spec that a cycle was started with says of its mirror.
func grace(t *testing.T, h *lab.House, id string) time.Duration {
	t.Helper()
	e, err := h.Client.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		t.Fatal(err)
	}
	var in workflows.CycleInput
	if err := converter.GetDefaultDataConverter().FromPayloads(e.GetWorkflowExecutionStartedEventAttributes().Input, &in); err != nil {
		t.Fatal(err)
	}
	return time.Duration(in.Spec.Mirrors[0].Grace)
}
