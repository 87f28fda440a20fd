package pypi_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/tree"
)

// TestSweep changes a page without moving a serial: it is seen within 7 days.
func TestSweep(t *testing.T) {
	s := twoProjects(t, nil)
	s.projects["alpha"].Files[0].Yanked = true // and no serial moves
	failed := false
	for hour := range 7 * 24 {
		s.now = s.now.Add(time.Hour)
		s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/"+bad || failed {
				return false
			}
			w.WriteHeader(403) // its turn is not lost by that
			failed = true
			return true
		})
		if r := s.cycle(); r.Number != 0 {
			t.Logf("seen after %d hours", hour+1)
			break
		}
	}
	if !failed || !strings.Contains(s.b.Read("simple/alpha/index.v1_json"), `"yanked":true`) {
		t.Errorf("not seen; asked %v", failed)
	}
	s.cycle() // looks whether the change was committed
	s.requests("")
	if s.cycle(); s.requests("") != 1 {
		t.Error("the turn is over, yet it is asked")
	}
	s.projects["beta"].Files[0].Yanked = true
	s.now = s.now.Add(30 * 24 * time.Hour) // nothing ran for a month
	s.mustCycle(t)
}

// TestSweptChangeOutlivesItsPlan: a plan that nobody commits, such as a dry run, loses nothing.
func TestSweptChangeOutlivesItsPlan(t *testing.T) {
	s := twoProjects(t, nil)
	s.projects["alpha"].Files[0].Yanked = true // and no serial moves
	s.now = s.now.Add(30 * 24 * time.Hour)
	tr, err := tree.Open(tree.Config{Dir: filepath.Join(s.b.Dir, "tree"), State: filepath.Join(s.b.Dir, "state"), Holder: "t"})
	if err != nil {
		t.Fatal(err)
	}
	_, info, err := s.engine.Plan(t.Context(), tr)
	if err != nil || !info.Changed {
		t.Fatalf("not seen at all: %+v, %v", info, err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	s.mustCycle(t)
}
