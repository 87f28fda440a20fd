package workflows

import (
	"testing"
	"time"

	"mirrorcycle/mirrorspec"
)

// TestCyclesEndBeforeTheNextIsDue: the mirrors and the steps after them have
// less time, all of it used, than there is until the next cycle.
func TestCyclesEndBeforeTheNextIsDue(t *testing.T) {
	const steps = 4 // results of the mirrors that arrive late, survey, status pages, report
	start := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for _, wait := range []time.Duration{time.Second, time.Minute, 6 * time.Hour, 1000 * time.Hour} {
		for _, due := range []time.Duration{leastDue, time.Minute, 2 * time.Hour, 24 * time.Hour, 720 * time.Hour} {
			in := CycleInput{Spec: mirrorspec.Spec{Cycle: mirrorspec.Cycle{MirrorWait: mirrorspec.Duration(wait)}}, Due: mirrorspec.Duration(due)}
			l := limitsOf(start, in)
			if over := l.mirrors.Add(steps * l.report).Sub(start); over >= due || l.report <= 0 {
				t.Errorf("mirror-wait %s: the cycle is over after %s, the next is due after %s", wait, over, due)
			}
			if waits := l.mirrors.Sub(start); waits > wait || waits < min(wait, due/2) {
				t.Errorf("mirror-wait %s: mirrors have %s of %s", wait, waits, due)
			}
		}
	}
}
