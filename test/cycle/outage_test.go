package cycle_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/local"
	"mirrorcycle/workflows"
)

// TestCatchUp: a Temporal server that was away over several due times makes up
// for one cycle, not for all.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	program := command(t).Path // or the test is skipped
	dir := t.TempDir()
	const every = 5 * time.Second
	spec := filepath.Join(dir, "mirrors.toml")
	if err := os.WriteFile(spec, []byte(`[cycle]
name = "away"
every = "5s"
[storage]
name = "main"
root = "/srv/mirror/trees"
[[region]]
name = "dfw"
dir = "/srv/mirror/dfw"
url = "http://mirror.dfw.example.org"
index-max-age = "1s"
[[mirror]]
name = "pypi"
kind = "pypi"
upstream = ["https://index.example.org"]
projects = ["nova"]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, dir)
	contains(t, starterAt(t, program, server.Address, "schedule", "apply", spec), "every 5s")
	c, h := scheduleAt(t, server.Address)
	// No worker ends a cycle here: the first one is ended by hand, so that the next may begin.
	first := until(t, h, func(i client.ScheduleInfo) bool { return i.NumActions == 1 })
	id := first.RecentActions[0].StartWorkflowResult.WorkflowID
	if err := c.TerminateWorkflow(t.Context(), id, "", "it was there"); err != nil {
		t.Fatal(err)
	}
	until(t, h, func(i client.ScheduleInfo) bool { return len(i.RunningWorkflows) == 0 })
	c.Close()
	away := time.Now()
	server.Stop()
	<-time.After(time.Until(away.Add(4 * every))) // what is due meanwhile is the experiment

	back := time.Now()
	server = startServer(t, dir)
	_, h = scheduleAt(t, server.Address)
	info := until(t, h, func(i client.ScheduleInfo) bool {
		return i.NumActions > first.NumActions && i.NumActionsSkippedOverlap > first.NumActionsSkippedOverlap
	})
	if info.NumActions != 2 || info.NumActionsMissedCatchupWindow != 0 {
		t.Errorf("%d cycles were begun, %d left out, %d forgotten", info.NumActions, info.NumActionsSkippedOverlap, info.NumActionsMissedCatchupWindow)
	}
	if due := info.RecentActions[1].ScheduleTime; !due.After(away) || !due.Before(back) {
		t.Errorf("the cycle that was begun was due at %s; the server was away from %s to %s", due, away, back)
	}
}

func scheduleAt(t *testing.T, address string) (client.Client, client.ScheduleHandle) {
	t.Helper()
	c, err := service.Dial(t.Context(), client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ScheduleClient().GetHandle(t.Context(), workflows.CycleID("away"))
}

// until waits for what the schedule says of itself.
func until(t *testing.T, h client.ScheduleHandle, ok func(client.ScheduleInfo) bool) client.ScheduleInfo {
	t.Helper()
	for end := time.Now().Add(lab.Patience); ; {
		d, err := h.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok(d.Info) {
			return d.Info
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %+v", d.Info)
		}
	}
}

func startServer(t *testing.T, dir string) *local.Server {
	t.Helper()
	s, err := local.Start(t.Context(), filepath.Join(lab.Root(), "bin", local.Program), local.Options{Dir: dir, Attributes: workflows.SearchAttributes()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func starterAt(t *testing.T, program, address string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = lab.Environ("TEMPORAL_ADDRESS=" + address)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
