// Package cycle_test runs whole cycles on a real Temporal server.
package cycle_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

func outcomes(t *testing.T, r workflows.CycleResult, want ...workflows.Outcome) {
	t.Helper()
	for i, m := range r.Mirrors {
		if m.Outcome != want[i] {
			t.Fatalf("%s is %s (%s %v), want %s", m.Mirror, m.Outcome, m.Error, m.Reasons, want[i])
		}
	}
}

func (c check) status(t *testing.T, want int) {
	t.Helper()
	for _, r := range []string{"here", "there"} {
		if got := c.h.Status(r, c.path); got != want {
			t.Fatalf("%s%s: %d, want %d", r, c.path, got, want)
		}
	}
}

type check struct {
	h    *lab.House
	path string
}

// TestDroppedObjectsWaitAndGo publishes, drops, and lets upstream fall silent:
// the dropped objects are served until the grace is over and go then, without
// another release.
func TestDroppedObjectsWaitAndGo(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	u.Project("nova", "1.0", "1.1")
	u.Project("oslo-config", "2.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "3s") + u.PyPIMirror("pypi", "3s"), Every: "2s"})
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	old := []check{{h, "/debian" + lab.DebPath("beta", "1")}, {h, "/pypi" + lab.WheelPath("nova", "1.0")}, {h, "/pypi" + lab.WheelPath("nova", "1.0") + ".metadata"}}
	for _, c := range append(old, check{h, "/debian/dists/stable/InRelease"}, check{h, "/pypi/simple/nova/"}) {
		c.status(t, http.StatusOK)
	}
	if left, _ := filepath.Glob(filepath.Join(h.Dir, "state", "*", "plan", "*")); len(left) > 0 {
		t.Errorf("plans that were carried out to the end are still there: %v", left)
	}
	outcomes(t, h.Cycle(), workflows.Unchanged, workflows.Unchanged)

	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "2"), lab.Deb("gamma", "1"))
	u.Project("nova", "1.1", "1.2")
	dropped := time.Now()
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	for _, c := range append(old, check{h, "/debian" + lab.DebPath("beta", "2")}, check{h, "/pypi" + lab.WheelPath("nova", "1.2")}) {
		c.status(t, http.StatusOK)
	}
	releases := 0
	gone := false
	for range 20 {
		r := h.Cycle()
		outcomes(t, r, workflows.Unchanged, workflows.Unchanged)
		for _, m := range r.Mirrors {
			for _, reg := range m.Regions {
				if reg.Outcome != workflows.Unchanged {
					releases++
				}
			}
		}
		gone = h.Status("here", old[0].path) == http.StatusNotFound
		if gone && time.Since(dropped) < 4*time.Second {
			t.Fatalf("reaped after %s, the grace and the index's age are 4s", time.Since(dropped))
		}
		if !gone {
			time.Sleep(300 * time.Millisecond) // the grace is real time: there is no event to wait for
		}
	}
	if releases != 0 {
		t.Errorf("20 cycles with nothing new made %d releases", releases)
	}
	for _, c := range old {
		c.status(t, http.StatusNotFound)
	}
	check{h, "/debian" + lab.DebPath("beta", "2")}.status(t, http.StatusOK)
}

// TestOneBadThingStaysOneBadThing keeps one mirror held and one region down
// for many cycles: the other mirror and the other region go on as if nothing
// were wrong, and the region catches up on its return although upstream is quiet.
func TestOneBadThingStaysOneBadThing(t *testing.T) {
	t.Parallel()
	u, v := lab.NewUpstream(t), lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	v.Project("nova", "1.0", "1.1")
	v.Project("glance", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "1s") + v.PyPIMirror("pypi", "1s")})
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	u.Debs() // everything gone: held
	there := h.Spec.Regions[1].Dir
	if err := os.Rename(there, there+".off"); err != nil {
		t.Fatal(err)
	}
	path := "/pypi" + lab.WheelPath("nova", "1.0")
	v.Project("nova", "1.1")
	reapedHere := false
	for i := range 8 {
		v.Project("glance", fmt.Sprintf("1.%d", i+1), "1.0")
		r := h.Cycle()
		outcomes(t, r, workflows.Held, workflows.Done)
		for _, m := range r.Mirrors {
			here, down := m.Regions[0], m.Regions[1]
			if here.Serves != m.Generation || here.Error != "" {
				t.Fatalf("%s here: %+v, want generation %d", m.Mirror, here, m.Generation)
			}
			if down.Outcome != workflows.Failed || down.FaultKind != "wrong-storage" {
				t.Fatalf("%s there: %+v", m.Mirror, down)
			}
		}
		reapedHere = reapedHere || h.Status("here", path) == http.StatusNotFound
		time.Sleep(300 * time.Millisecond) // the grace is real time
	}
	if !reapedHere {
		t.Error("the region that is up did not reap while the other was down")
	}
	if got := h.Status("here", "/debian"+lab.DebPath("alpha", "1")); got != http.StatusOK {
		t.Errorf("a package of the held mirror: %d", got)
	}
	if err := os.Rename(there+".off", there); err != nil {
		t.Fatal(err)
	}
	if got := h.Status("there", path); got != http.StatusOK {
		t.Errorf("the region came back without what its index names: %d", got)
	}
	r := h.Cycle()
	outcomes(t, r, workflows.Held, workflows.Unchanged)
	contains(t, said(t, h, 3, "status"), "held: removes", "starter approve debian "+r.Mirrors[0].Approval()[:8])
	if m := r.Mirrors[1]; m.Regions[1].Serves != m.Generation || m.Regions[1].Outcome != workflows.Done {
		t.Errorf("the region did not catch up: %+v", m.Regions[1])
	}
	approve(t, h, u, r.Mirrors[0])
}

// approve runs a held mirror as starter approve does.
func approve(t *testing.T, h *lab.House, u *lab.Upstream, held workflows.MirrorResult) {
	t.Helper()
	m := h.Mirror("debian", workflows.Order{Approved: held.Plan})
	if m.Outcome != workflows.Done || m.Changes.Dropped < 2 {
		t.Fatalf("approved: %+v", m)
	}
	if text := said(t, h, 0, "status"); strings.Contains(text, "held") {
		t.Errorf("approved, and still held:\n%s", text)
	}
	if got := h.Status("here", "/debian"+lab.DebPath("alpha", "1")); got != http.StatusOK {
		t.Errorf("approval must drop, not delete at once: %d", got)
	}
	back := h.Mirror("debian", workflows.Order{Rollback: 1})
	if back.Outcome != workflows.Done || back.Generation <= m.Generation || back.Changes.Added < 2 {
		t.Fatalf("rollback: %+v", back)
	}
	if r := h.Cycle("debian"); r.Mirrors[0].Outcome != workflows.OnHold || r.Mirrors[0].Regions[0].Serves != back.Generation {
		t.Errorf("after a rollback: %+v", r.Mirrors[0])
	}
}

// TestPull keeps a region that takes everything over HTTP from the origin.
func TestPull(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here", "far"}, Pull: "far", Mirrors: u.AptMirror("debian", "1h")})
	outcomes(t, h.Cycle(), workflows.Done)
	check{h, "/debian" + lab.DebPath("alpha", "1")}.only(t, "far", http.StatusOK)
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"))
	r := h.Cycle()
	outcomes(t, r, workflows.Done)
	if far := r.Mirrors[0].Regions[1]; far.Serves != 2 || far.Error != "" {
		t.Fatalf("far: %+v", far)
	}
	check{h, "/debian" + lab.DebPath("alpha", "2")}.only(t, "far", http.StatusOK)
	check{h, "/debian" + lab.DebPath("alpha", "1")}.only(t, "far", http.StatusOK)
}

func (c check) only(t *testing.T, region string, want int) {
	t.Helper()
	if got := c.h.Status(region, c.path); got != want {
		t.Fatalf("%s%s: %d, want %d", region, c.path, got, want)
	}
}

// TestWrongStorage unmounts a tree: nothing happens to it or to what regions serve.
func TestWrongStorage(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1s")})
	outcomes(t, h.Cycle(), workflows.Done)
	tree := h.Spec.TreeDir("debian")
	if err := errors.Join(os.Rename(tree, tree+".off"), os.Mkdir(tree, 0o755)); err != nil {
		t.Fatal(err)
	}
	r := h.Cycle().Mirrors[0]
	if r.Outcome != workflows.Failed || r.FaultKind != "wrong-storage" {
		t.Fatalf("%+v", r)
	}
	if left, _ := os.ReadDir(tree); len(left) != 0 {
		t.Errorf("something was written to the empty mount point: %v", left)
	}
	check{h, "/debian" + lab.DebPath("alpha", "1")}.only(t, "here", http.StatusOK)
}

// TestBusy starts a mirror twice: the second cycle says busy and does not wait.
func TestBusy(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1s")})
	reached, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	u.SetGate(func(path string) {
		if strings.HasSuffix(path, ".deb") {
			once.Do(func() { close(reached) })
			<-open
		}
	})
	first := h.Start()
	<-reached
	second := h.StartAs("second")
	var r workflows.CycleResult
	if err := second.Get(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	outcomes(t, r, workflows.Busy)
	close(open)
	if err := first.Get(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	outcomes(t, r, workflows.Done)
}
