package cycle_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// TestGrowthInSteps: a first sync serves what a step has brought while the next
// one is fetched, and no step asks again for what an earlier one has landed.
func TestGrowthInSteps(t *testing.T) {
	t.Parallel()
	const projects = 70 // four steps of 20 wheels
	u := lab.NewUpstream(t)
	for i := range projects {
		u.Project(fmt.Sprintf("p%02d", i), "1.0")
	}
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.PyPIMirror("pypi", "1h")})
	h.Spec.Limits.StepObjects = 20
	reached, gate := make(chan struct{}), make(chan struct{})
	var once, open sync.Once
	u.SetGate(func(path string) {
		if strings.Contains(path, "p69-1.0") { // of the last step
			once.Do(func() { close(reached) })
			<-gate
		}
	})
	defer open.Do(func() { close(gate) })
	run := h.Start()
	<-reached
	lab.Await(t, "the first steps are served while the last one is fetched", func() bool {
		return h.Status("here", "/pypi/simple/p00/") == http.StatusOK && h.Status("here", "/pypi/simple/p40/") == http.StatusOK
	})
	check{h, "/pypi/simple/p69/"}.only(t, "here", http.StatusNotFound)
	open.Do(func() { close(gate) })
	r := ended(t, run)
	outcomes(t, r, workflows.Done)
	m := r.Mirrors[0]
	if m.Generation != 4 || m.Changes.Added < projects || m.Regions[0].Serves != 4 || m.Info.Left != 0 {
		t.Errorf("generation %d, %+v, %+v", m.Generation, m.Changes, m.Regions)
	}
	check{h, "/pypi/simple/p69/"}.only(t, "here", http.StatusOK)
	for path, n := range u.Hits() {
		if strings.HasSuffix(path, ".whl") && n != 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	outcomes(t, h.Cycle(), workflows.Unchanged)
}
