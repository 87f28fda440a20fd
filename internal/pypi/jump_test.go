package pypi_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
)

// TestSerialsThatJump: one answer with a serial far ahead would make all later
// ones count as old. Of the root page it is for a person to allow; a project that says so stays as it is.
func TestSerialsThatJump(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.set("beta", s.wheel("beta", "1"))
	s.serial = 36_000_000
	s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.serial = 1 << 60
	if r := s.cycle(); !slices.Equal(r.Info.Jumps, []string{"root page: serial 1152921504606846976 after 36000000"}) {
		t.Errorf("the guard sees %q", r.Info.Jumps)
	}

	s = newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.set("beta", s.wheel("beta", "1"))
	s.serial = 36_000_000
	s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	was := s.projects["alpha"].Serial
	s.projects["alpha"].Serial, s.serial = 1<<50, 36_000_100
	r := s.cycle()
	if len(r.Info.Jumps) > 0 || len(r.Info.Deferred) == 0 || r.Info.Deferred[0].Kind != string(fault.Stale) {
		t.Errorf("%q, %+v", r.Info.Jumps, r.Info.Deferred)
	}
	s.projects["alpha"].Serial, s.serial = was+1, 36_000_200
	s.mustCycle(t)
	if diff := cmp.Diff([]string{"alpha-1-py3-none-any.whl", wheel2}, s.links("alpha")); diff != "" {
		t.Error(diff)
	}
}

// TestRollbackTakesAJumpBack: a jump that was approved by mistake makes all that
// upstream has later count as older. A rollback brings the serials of its
// generation back, and the next cycle goes on from them.
func TestRollbackTakesAJumpBack(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.serial = 36_000_000
	first := s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.serial = 1 << 60 // of the root page
	s.mustCycle(t)     // the bench has no guard: as if approved
	s.serial = 36_000_100
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "3"))
	if r := s.cycle(); r.Err == nil && r.Number != 0 && len(r.Notes) == 0 {
		t.Fatalf("the older serial is believed; the test shows nothing: %+v", r)
	}
	if err := s.b.Rollback(first.Number); err != nil {
		t.Fatal(err)
	}
	s.mustCycle(t)
	if diff := cmp.Diff([]string{"alpha-1-py3-none-any.whl", "alpha-3-py3-none-any.whl"}, s.links("alpha")); diff != "" {
		t.Error(diff)
	}
}
