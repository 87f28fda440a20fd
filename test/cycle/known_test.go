package cycle_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/standing"
	"mirrorcycle/workflows"
)

// TestPartialOnceThenKnown: an index that lists a file it does not have, and an
// archive that lacks a package. The cycle that meets it ends with status 3 and a
// generation; the next one is done, and exits with 0. Result, status, why, status
// page and record count it in both; when upstream has it again, nothing is told.
func TestPartialOnceThenKnown(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	u.Project("nova", "1.0", "2.0")
	deb, whl := lab.DebPath("beta", "1"), lab.WheelPath("nova", "2.0")
	u.Lose("/apt" + deb)
	u.Lose("/pypi" + whl)
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h") + "missing = \"tolerate\"\n" + u.PyPIMirror("pypi", "1h")})
	for i, want := range []struct {
		status  int
		outcome workflows.Outcome
	}{{3, workflows.Partial}, {0, workflows.Unchanged}, {0, workflows.Unchanged}} {
		r := result(t, said(t, h, want.status, "run", "--json"))
		outcomes(t, r, want.outcome, want.outcome)
		for _, m := range r.Mirrors {
			if m.Generation != 1 || m.Missing != 1 || m.Refused != 0 || len(m.Deferred) != 1 || m.Deferred[0].Known != (i > 0) {
				t.Errorf("cycle %d: %+v", i, m)
			}
		}
		for _, s := range []string{"/debian" + lab.DebPath("alpha", "1"), "/pypi" + lab.WheelPath("nova", "1.0")} {
			if got := h.Status("here", s); got != http.StatusOK {
				t.Errorf("%s: %d", s, got)
			}
		}
		counted(t, h, "gone")
	}
	contains(t, said(t, h, 0, "why", "debian"+deb), "gone")
	contains(t, said(t, h, 0, "why", "pypi"+whl), "upstream lists it")
	contains(t, said(t, h, 0, "run"), "upstream lists 1 files more: 1 could not be had")

	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	u.Project("nova", "1.0", "2.0")
	outcomes(t, result(t, said(t, h, 0, "run", "--json")), workflows.Done, workflows.Done)
	counted(t, h, "")
	check{h, "/debian" + deb}.served(t)
	check{h, "/pypi" + whl}.served(t)
}

func (c check) served(t *testing.T) {
	t.Helper()
	if got := c.h.Status("here", c.path); got != http.StatusOK {
		t.Errorf("%s: %d", c.path, got)
	}
}

func result(t *testing.T, text string) workflows.CycleResult {
	t.Helper()
	var out struct {
		Cycle workflows.CycleResult `json:"cycle"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Cycle.Mirrors) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	return out.Cycle
}

// counted checks that status, status page and the record for metrics count one
// file of each mirror as missing for a reason, or nothing if it is empty.
func counted(t *testing.T, h *lab.House, reason string) {
	t.Helper()
	want := int64(0)
	if reason != "" {
		want = 1
	}
	var got struct {
		Mirrors []struct {
			Missing, Refused int64
			Lacks            []struct{ Reason string }
		}
	}
	text := said(t, h, 0, "status", "--json")
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Mirrors) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	for _, m := range got.Mirrors {
		if m.Missing != want || m.Refused != 0 || len(m.Lacks) != int(want) || want > 0 && !strings.Contains(m.Lacks[0].Reason, reason) {
			t.Errorf("status: %+v", m)
		}
	}
	record, err := standing.Read(h.Spec.Storage.State, h.Spec.Cycle.Name)
	if err != nil {
		t.Fatal(err)
	}
	page := statusOf(t, h, "here")
	for _, m := range append(page.Mirrors, record.Status.Mirrors...) {
		if m.Lacks.Total() != want || want > 0 && m.Lacks.Missing[reason] != want {
			t.Errorf("page or record of %s: %+v", m.Name, m.Lacks)
		}
	}
}
