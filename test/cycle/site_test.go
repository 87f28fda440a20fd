package cycle_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/site"
	"mirrorcycle/workflows"
)

// TestStatusPages: every region tells what all of them serve, from the first
// cycle on, and what is wrong while one of them is down.
func TestStatusPages(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	u.Project("nova", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "1h") + u.PyPIMirror("pypi", "1h")})
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	for _, region := range []string{"here", "there"} {
		check{h, "/healthz"}.status(t, http.StatusOK)
		if page := text(t, h, region, "/"); !strings.Contains(page, "All is well") || !strings.Contains(page, "Mirrors in "+region) {
			t.Errorf("%s shows\n%s", region, page)
		}
	}
	if s := statusOf(t, h, "here"); s.Level != site.OK || len(s.Mirrors) != 2 || s.Mirrors[0].Regions[1].Serves != 1 || s.Mirrors[1].Objects == 0 || len(s.Cycles) != 1 {
		t.Errorf("%+v", s)
	}
	h.Regions["there"].Down(true)
	h.Cycle()
	s := statusOf(t, h, "here")
	if s.Level != site.Wrong || !slices.ContainsFunc(s.Problems, func(p site.Problem) bool { return p.Region == "there" && p.What == "did not answer" }) {
		t.Errorf("%s %+v", s.Level, s.Problems)
	}
	h.Regions["there"].Down(false)
	h.Cycle()
	if s := statusOf(t, h, "there"); s.Level != site.OK || len(s.Cycles) != 3 {
		t.Errorf("%s %+v, %d cycles", s.Level, s.Problems, len(s.Cycles))
	}
}

func text(t *testing.T, h *lab.House, region, path string) string {
	t.Helper()
	resp, err := http.Get(h.Regions[region].URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return string(data)
}

func statusOf(t *testing.T, h *lab.House, region string) (s site.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(text(t, h, region, "/status.json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
