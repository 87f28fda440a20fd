package cycle_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/lab"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// stopPackages makes the upstream stop in the middle of a fetch.
func stopPackages(u *lab.Upstream) (reached <-chan struct{}, open func()) {
	at, gate := make(chan struct{}), make(chan struct{})
	var once, end sync.Once
	u.SetGate(func(path string) {
		if strings.HasSuffix(path, ".deb") {
			once.Do(func() { close(at) })
			<-gate
		}
	})
	return at, func() { end.Do(func() { close(gate) }) }
}

// ended waits for the result of a cycle.
func ended(t *testing.T, run client.WorkflowRun) workflows.CycleResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	var r workflows.CycleResult
	if err := run.Get(ctx, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRegionsAreServedBesideAStoppedRefresh stops one mirror in mid-fetch: in
// each of twenty cycles its regions get a release, a probe and their reaping,
// and the other mirror gets its news.
func TestRegionsAreServedBesideAStoppedRefresh(t *testing.T) {
	t.Parallel()
	u, v := lab.NewUpstream(t), lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	v.Project("glance", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "1s") + v.PyPIMirror("pypi", "1s")})
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"))
	outcomes(t, h.Cycle(), workflows.Done, workflows.Unchanged)
	u.Debs(lab.Deb("alpha", "3"), lab.Deb("beta", "1"))
	reached, open := stopPackages(u)
	defer open()
	stopped := h.Start()
	<-reached
	gone := "/debian" + lab.DebPath("alpha", "1")
	for i := range 20 {
		v.Project("glance", fmt.Sprintf("1.%d", i+1), "1.0")
		r := ended(t, h.StartAs(fmt.Sprintf("%s-%d", h.Spec.Cycle.Name, i)))
		outcomes(t, r, workflows.Busy, workflows.Done)
		for _, m := range r.Mirrors {
			for _, reg := range m.Regions {
				if reg.Serves != m.Generation || reg.Error != "" || reg.Reaped == nil {
					t.Fatalf("cycle %d: %s in %s: %+v", i, m.Mirror, reg.Region, reg)
				}
			}
			if len(m.Regions) != 2 {
				t.Fatalf("cycle %d: %s was served in %d regions", i, m.Mirror, len(m.Regions))
			}
		}
		check{h, "/healthz"}.status(t, http.StatusOK)
	}
	check{h, gone}.status(t, http.StatusNotFound) // its second was over long ago
	open()
	outcomes(t, ended(t, stopped), workflows.Done, workflows.Unchanged)
	check{h, "/debian" + lab.DebPath("alpha", "3")}.status(t, http.StatusOK)
}

// TestCycleEndsInTime: a cycle that another one follows is over before that is
// due, with one mirror stopped, and what is sealed later is served without it.
func TestCycleEndsInTime(t *testing.T) {
	t.Parallel()
	u, v := lab.NewUpstream(t), lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	v.Project("nova", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "1h") + v.PyPIMirror("pypi", "1h")})
	reached, open := stopPackages(u)
	defer open()
	const due = 10 * time.Second
	run, err := h.Client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: h.CycleID(), TaskQueue: workflows.Queue}, "MirrorCycle",
		workflows.CycleInput{Spec: *h.Spec, Due: mirrorspec.Duration(due)})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	outcomes(t, ended(t, run), workflows.Late, workflows.Done)
	d, err := h.Client.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
	if err != nil {
		t.Fatal(err)
	}
	info := d.WorkflowExecutionInfo
	if took := info.CloseTime.AsTime().Sub(info.StartTime.AsTime()); took >= due {
		t.Errorf("the cycle took %s, the next was due after %s", took, due)
	}
	check{h, "/debian" + lab.DebPath("alpha", "1")}.status(t, http.StatusNotFound)
	open()
	lab.Await(t, "the regions serve what was sealed after the cycle", func() bool {
		return h.Status("here", "/debian"+lab.DebPath("alpha", "1")) == http.StatusOK && h.Status("there", "/debian"+lab.DebPath("alpha", "1")) == http.StatusOK
	})
}

// TestHoldReachesAFetch: a person who puts a mirror on hold stops its fetch at once.
func TestHoldReachesAFetch(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h")})
	outcomes(t, h.Cycle(), workflows.Done)
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	reached, open := stopPackages(u)
	defer open()
	run := h.Start()
	<-reached
	contains(t, said(t, h, 0, "hold", "debian", "--reason", "look at alpha"), "on hold: look at alpha")
	r := ended(t, run)
	outcomes(t, r, workflows.OnHold)
	if m := r.Mirrors[0]; m.Regions[0].Serves != 1 || len(m.Reasons) != 1 || m.Reasons[0] != "look at alpha" {
		t.Errorf("%+v", m)
	}
	open()
	said(t, h, 0, "resume", "debian")
	outcomes(t, h.Cycle(), workflows.Done)
}

// TestRollbackOfABusyMirror: a person who rolls back need not wait for a fetch that is stopped.
func TestRollbackOfABusyMirror(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h")})
	outcomes(t, h.Cycle(), workflows.Done)
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"))
	outcomes(t, h.Cycle(), workflows.Done)
	u.Debs(lab.Deb("alpha", "3"), lab.Deb("beta", "1"))
	reached, open := stopPackages(u)
	defer open()
	h.Start()
	<-reached
	contains(t, said(t, h, 0, "rollback", "debian", "1"), "debian: done, generation 3", "region here: done, serves 3")
	check{h, "/debian" + lab.DebPath("alpha", "1")}.only(t, "here", http.StatusOK)
	if r := ended(t, h.StartAs(h.Spec.Cycle.Name+"-after")); r.Mirrors[0].Outcome != workflows.OnHold {
		t.Errorf("after the rollback: %+v", r.Mirrors[0])
	}
}
