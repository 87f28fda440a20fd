package rpmrepo_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/rpmrepo"
)

var versions = []string{"1", "1.0", "1.0.1", "1.00", "1.0~rc1", "1.0~rc1~git2", "1.0^", "1.0^git1", "1.0^git1~pre", "1.0^git2", "1.1", "1.a", "a", "a1", "A", "1a", "1.0a", "1.0.a",
	"10", "2", "002", "1_0", "1..0", "~", "^", "20240101", "99999999999999999999", "100000000000000000000", "1.0+", "+", "1.0^~", "1~^", "z9", "9z"}

// TestCompareVersions holds the order against that of real rpm, for all pairs.
func TestCompareVersions(t *testing.T) {
	_, err := exec.LookPath("rpm")
	need.That(t, err == nil, "rpm")
	var lua strings.Builder
	for _, a := range versions {
		for _, b := range versions {
			fmt.Fprintf(&lua, "print(rpm.vercmp('%s','%s')..' ')\n", a, b)
		}
	}
	cmd := exec.CommandContext(t.Context(), "rpm", "--eval", "%{lua:\n"+lua.String()+"}")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rpm: %v\n%s", err, out)
	}
	want := strings.Fields(string(out))
	if len(want) != len(versions)*len(versions) {
		t.Fatalf("rpm answered %d times: %.300s", len(want), out)
	}
	for i, a := range versions {
		for j, b := range versions {
			if got := fmt.Sprint(rpmrepo.CompareVersions(a, b)); got != want[i*len(versions)+j] {
				t.Errorf("%q and %q: %s, rpm says %s", a, b, got, want[i*len(versions)+j])
			}
		}
	}
}
