// Package need skips tests for want of a tool or a device, by name, where that is allowed.
package need

import (
	"os"
	"testing"
)

// That skips the test if what it needs is not there; why names it. With
// CI=true, where everything is there, a skip would hide something: it fails.
func That(tb testing.TB, ok bool, why string) {
	tb.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		tb.Fatal("cannot be skipped in CI: " + why)
	default:
		tb.Skip(why)
	}
}
