package cycle_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/standing"
	"mirrorcycle/workflows"
)

// hook is a webhook that refuses the first notice, to be told it again.
func hook(t *testing.T) (urlFile string, told <-chan standing.Notice) {
	t.Helper()
	all := make(chan standing.Notice, 100)
	refused := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n standing.Notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		if !refused { // one after the other: no lock is needed
			refused = true
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		all <- n
	}))
	t.Cleanup(s.Close)
	urlFile = filepath.Join(t.TempDir(), "webhook")
	if err := os.WriteFile(urlFile, []byte(s.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return urlFile, all
}

// TestNotify: a held mirror is told once, by a webhook that fails at first, and
// its recovery once; no cycle waits for it.
func TestNotify(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	file, told := hook(t)
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h") + "[notify]\nurl-file = \"" + file + "\"\n"})
	outcomes(t, h.Cycle(), workflows.Done)
	u.Debs()
	held := h.Cycle()
	outcomes(t, held, workflows.Held)
	if held.Report == nil || held.Report.Due != 1 || held.Report.Error != "" {
		t.Fatalf("%+v", held.Report)
	}
	n := next(t, told)
	if n.Condition != "held" || n.Mirror != "debian" || n.Run != "starter approve debian "+held.Mirrors[0].Approval()[:8] {
		t.Errorf("%+v", n)
	}
	settled(t, h)
	histories := lab.Recording{Client: h.Client, Version: *record, Dir: h.Dir}
	histories.Save(t, "cycle-told", h.CycleID())
	histories.Save(t, "notify", workflows.NotifyID(h.Spec.Cycle.Name))
	if again := h.Cycle(); again.Report.Due != 0 {
		t.Errorf("held again is no news: %+v", again.Report)
	}
	u.Debs(lab.Deb("alpha", "2"), lab.Deb("beta", "1"))
	outcomes(t, h.Cycle(), workflows.Done)
	if n := next(t, told); n.Condition != "recovered" || n.From != "held" {
		t.Errorf("%+v", n)
	}
	settled(t, h)
	if quiet := h.Cycle(); quiet.Report.Due != 0 {
		t.Errorf("%+v", quiet.Report)
	}
	select {
	case n := <-told:
		t.Errorf("one too many: %+v", n)
	default:
	}
}

func next(t *testing.T, told <-chan standing.Notice) standing.Notice {
	t.Helper()
	select {
	case n := <-told:
		return n
	case <-time.After(lab.Patience):
		t.Fatal("nothing was told within ", lab.Patience)
	}
	return standing.Notice{}
}

// settled waits until what was told is written down.
func settled(t *testing.T, h *lab.House) {
	t.Helper()
	if err := h.Client.GetWorkflow(t.Context(), workflows.NotifyID(h.Spec.Cycle.Name), "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
