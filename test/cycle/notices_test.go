package cycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/standing"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// heard runs cycles until the webhook has heard a number of notices, and
// returns them sorted. What a cycle tells is written down before the next one.
func heard(t *testing.T, h *lab.House, told <-chan standing.Notice, n int) []standing.Notice {
	t.Helper()
	var all []standing.Notice
	lab.Await(t, "notices", func() bool {
		r := h.Cycle()
		if r.Report == nil || r.Report.Error != "" {
			t.Fatalf("%+v", r.Report)
		}
		for range r.Report.Due {
			all = append(all, next(t, told))
		}
		if r.Report.Due > 0 {
			settled(t, h)
		}
		return len(all) >= n
	})
	slices.SortFunc(all, func(a, b standing.Notice) int { return strings.Compare(a.Text, b.Text) })
	return all
}

// TestNotifyFailedAndLagging: a mirror that fails, one that lags behind and then
// is known to lack what upstream does not have, and a region that does not
// answer are told of, each once, and so is that each is right again.
func TestNotifyFailedAndLagging(t *testing.T) {
	t.Parallel()
	debian, pypi := lab.NewUpstream(t), lab.NewUpstream(t)
	debian.Debs(lab.Deb("alpha", "1"))
	pypi.Project("nova", "1.0")
	file, told := hook(t)
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"},
		Mirrors: debian.AptMirror("debian", "1h") + pypi.PyPIMirror("pypi", "1h") + "[notify]\nurl-file = \"" + file + "\"\n"})
	h.Spec.Notify.Lag = mirrorspec.Duration(time.Millisecond) // a spec may not say less than a minute
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)

	debian.Lose("/apt/dists/stable/InRelease")
	debian.Lose("/apt/dists/stable/Release")
	pypi.Project("nova", "1.0", "2.0")
	pypi.Lose("/pypi" + lab.WheelPath("nova", "2.0"))
	h.Regions["there"].Down(true)
	want := []string{
		h.Spec.Cycle.Name + ": mirror debian failed",
		h.Spec.Cycle.Name + ": mirror debian in region there failed",
		h.Spec.Cycle.Name + ": mirror pypi in region there failed",
		h.Spec.Cycle.Name + ": mirror pypi lacks something that it should have",
		h.Spec.Cycle.Name + ": mirror pypi lags behind",
	}
	if diff := cmp.Diff(want, texts(heard(t, h, told, len(want)))); diff != "" {
		t.Error(diff)
	}
	if again := h.Cycle(); again.Report.Due != 0 {
		t.Errorf("told again: %+v", again.Report)
	}

	debian.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	pypi.Project("nova", "1.0", "2.0")
	h.Regions["there"].Down(false)
	from := map[string]string{}
	for _, n := range heard(t, h, told, len(want)-1) {
		if n.Condition != "recovered" {
			t.Errorf("%+v", n)
		}
		from[n.Mirror+"@"+n.Region] = n.From
	}
	if diff := cmp.Diff(map[string]string{"debian@": "failed", "debian@there": "failed", "pypi@there": "failed", "pypi@": "lacking"}, from); diff != "" {
		t.Error(diff)
	}
}

func texts(all []standing.Notice) []string {
	var out []string
	for _, n := range all {
		out = append(out, n.Text)
	}
	return out
}
