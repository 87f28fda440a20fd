// Package cycle_test runs whole cycles on a real Temporal server.
package cycle_test

import (
	"net/http"
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
