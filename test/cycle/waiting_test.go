package cycle_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.temporal.io/api/workflowservice/v1"

	"mirrorcycle/internal/lab"
)

// TestNobodyWaitsInSilence: without a worker, commands say which role is missing, on which
// queue of which server; interrupted, they leave nothing behind for a worker that comes later.
func TestNobodyWaitsInSilence(t *testing.T) {
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"dfw"}, NoWork: true, Every: "1h", Mirrors: u.AptMirror("debian", "1h")})
	for _, args := range [][]string{{"status"}, {"hold", "debian"}, {"run"}} {
		cmd := exec.Command(lab.Program(t, "starter"), args...)
		cmd.Dir, cmd.Env = h.Dir, lab.Environ("TEMPORAL_ADDRESS="+h.Address, "HOME="+t.TempDir())
		p := lab.Spawn(t, cmd)
		p.Await(`role sync:` + h.Spec.Storage.Name + ` \(task queue sync-` + h.Spec.Storage.Name + ` of Temporal at ` + h.Address + `, namespace default\); start one: worker --roles sync:`)
		p.End(syscall.SIGINT)
		if got := p.Wait(); got != 130 {
			t.Errorf("starter %s: exit status %d after Ctrl-C", strings.Join(args, " "), got)
		}
	}
	lab.Await(t, "the questions to end", func() bool {
		all, err := h.Client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'Ask' AND ExecutionStatus = 'Running'"})
		return err == nil && len(all.Executions) == 0
	})
	if err := h.Client.TerminateWorkflow(t.Context(), h.CycleID(), "", "the test has ended"); err != nil {
		t.Error(err) // a cycle goes on whoever follows it
	}
}
