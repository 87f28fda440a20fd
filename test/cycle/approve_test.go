package cycle_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// TestApproveWithSparedProjects: a project that loses most of a mirror is held,
// the others move on in the same cycle. The digest that the first cycle named is
// good for its removals after later cycles have named others, and after one that
// nobody named was refused.
func TestApproveWithSparedProjects(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Project("nova", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0")
	u.Project("oslo-config", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.PyPIMirror("pypi", "1h")})
	outcomes(t, h.Cycle(), workflows.Done)
	u.Project("nova", "6.0")
	u.Project("oslo-config", "1.0", "2.0")

	held := h.Cycle()
	outcomes(t, held, workflows.Held)
	m := held.Mirrors[0]
	if m.Generation != 2 || m.Plan == "" || !strings.Contains(strings.Join(m.Reasons, " "), "more than half") {
		t.Fatalf("%+v", m)
	}
	check{h, "/pypi" + lab.WheelPath("oslo-config", "2.0")}.served(t)
	check{h, "/pypi" + lab.WheelPath("nova", "1.0")}.served(t)
	page := text(t, h, "here", "/pypi/simple/nova/")
	contains(t, page, "nova-1.0", "nova-6.0")
	again := h.Cycle()
	outcomes(t, again, workflows.Held)
	if again.Mirrors[0].Generation != 2 {
		t.Errorf("a second held cycle made generation %d", again.Mirrors[0].Generation)
	}

	short := m.Approval()[:8]
	contains(t, said(t, h, 0, "plan", "pypi"), "pypi: held", fmt.Sprintf("drops %d of", m.Info.Drops), "drop", "nova-1.0", "starter approve pypi "+short)
	contains(t, said(t, h, 2, "approve", "pypi", strings.Repeat("0", 64)), "what is held is "+short)
	contains(t, said(t, h, 0, "approve", "pypi", short), "pypi: done, generation 3", "10 dropped")
	if page := text(t, h, "here", "/pypi/simple/nova/"); strings.Contains(page, "nova-1.0") || !strings.Contains(page, "nova-6.0") {
		t.Errorf("approved, and the page is\n%s", page)
	}
	if got := h.Status("here", "/pypi"+lab.WheelPath("nova", "1.0")); got != http.StatusOK {
		t.Errorf("a client with the old page gets %d", got)
	}
}

// TestFullVerificationAfterARollback: apt keeps the newer Release that it has, and
// verification looks for what that names though the generation does not. A file of
// it that is lost is found.
func TestFullVerificationAfterARollback(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), Keep: "1h"})
	outcomes(t, h.Cycle(), workflows.Done)
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	outcomes(t, h.Cycle(), workflows.Done)
	contains(t, said(t, h, 0, "rollback", "debian", "1"), "generation 3")
	newer := lab.DebPath("alpha", "2")
	check{h, "/debian" + newer}.served(t)
	contains(t, said(t, h, 0, "verify", "--full"), "0 problems")
	lost(t, h, "debian"+newer)
	contains(t, said(t, h, 0, "verify"), "0 problems") // of the generation itself
	contains(t, said(t, h, 1, "verify", "--full"), strings.TrimPrefix(newer, "/")+" is gone: clients that hold the newer index of generation 2 ask for it")
}
