package pypi_test

import (
	"slices"
	"testing"

	"mirrorcycle/internal/pypi"
)

// TestRootThatChangesNothingIsReadOnce: what moved is not wanted, so no
// generation comes of it; the page is not read again for that.
func TestRootThatChangesNothingIsReadOnce(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.Projects = []string{"a*"} })
	s.set("alpha", s.wheel("alpha", "1"))
	s.set("zeta", s.wheel("zeta", "1"))
	s.mustCycle(t)
	s.set("zeta", s.wheel("zeta", "2"))
	if r := s.cycle(); r.Digest != "" || r.Err != nil {
		t.Fatalf("nothing that is wanted changed: %+v", r)
	}
	statuses := s.watch()
	for range 3 {
		if r := s.cycle(); r.Digest != "" || r.Err != nil {
			t.Fatalf("nothing changed at all: %+v", r)
		}
	}
	if want := []string{"/simple/ 304", "/simple/ 304", "/simple/ 304"}; !slices.Equal(*statuses, want) {
		t.Errorf("asked %v, want %v", *statuses, want)
	}
	s.setAlter(nil)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	if r := s.cycle(); r.Number == 0 || r.Err != nil {
		t.Errorf("alpha changed: %+v", r)
	}
}
