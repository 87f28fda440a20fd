package apt_test

import (
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/apt"
)

// TestWithoutByHash: indexes lie under their digests where the spec asks for it.
func TestWithoutByHash(t *testing.T) {
	for _, want := range []bool{true, false} {
		s := newStage(t, func(c *apt.Config) { c.ByHash = want })
		s.publish(good)
		s.mustCycle(t)
		if got := slices.ContainsFunc(s.b.Files(), func(p string) bool { return strings.Contains(p, "/by-hash/") }); got != want {
			t.Errorf("by-hash = %v: they do so: %v", want, got)
		}
	}
}
