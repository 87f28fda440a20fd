package afs_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/afslab"
)

// TestCableCutInMidTransfer: fs2 loses its network while it receives the dump,
// and keeps a transaction of the run that failed when it is back.
func TestCableCutInMidTransfer(t *testing.T) {
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	end := r.customers(t)
	n := r.generation(t, "a", "big1", "big2", "big3", "big4")
	r.cell.Slow(t, afslab.FS2, "20mbit")
	running := r.releaseInTheBackground(t)
	until(t, "the dump is under way", func() bool { return strings.Contains(r.entry(t), "RClone") })
	r.cell.Cut(t, afslab.FS2)
	out := <-running
	wantOutcome(t, out, "region1", n, "")
	wantOutcome(t, out, "region3", n, "")
	for _, o := range out {
		if o.Region == "region2" && o.Error == "" {
			t.Errorf("the site that was cut off: %+v", o)
		}
	}
	r.cell.Heal(t, afslab.FS2)
	r.cell.Slow(t, afslab.FS2, "off")
	r.heals(t, n)
	r.servedAt(t, afslab.Web1, n)
	end()
}
