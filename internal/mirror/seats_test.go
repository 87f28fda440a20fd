package mirror

import "testing"

// TestSeatsOfPlans has plans share nothing, and shards of a plan share their
// seats for as long as one of them is under way.
func TestSeatsOfPlans(t *testing.T) {
	var s seats
	first, leaveFirst := s.of("a", 1)
	second, leaveSecond := s.of("a", 1)
	other, leaveOther := s.of("b", 1)
	if first != second || first == other {
		t.Error("shards of one plan have seats of their own, or another plan has the same")
	}
	if !first.TryAcquire(2) || second.TryAcquire(1) {
		t.Error("one download does not make two seats")
	}
	leaveFirst()
	if again, leave := s.of("a", 1); again != second {
		t.Error("the seats were given up while a shard was under way")
	} else {
		leave()
	}
	leaveSecond()
	leaveOther()
	if len(s.all) != 0 {
		t.Errorf("seats of %d plans are left", len(s.all))
	}
}
