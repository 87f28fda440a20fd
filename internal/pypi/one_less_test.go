package pypi_test

import (
	"testing"

	"mirrorcycle/internal/pypi"
)

// TestOneRequirementLessIsNoEmptyList: a selected project stays, a required one goes.
func TestOneRequirementLessIsNoEmptyList(t *testing.T) {
	w := newWish(t, "six\n", func(c *pypi.Config) { c.Projects = []string{"nova"} })
	w.set("nova", w.wheel("nova", "1"))
	w.set("six", w.wheel("six", "1"))
	w.mustCycle(t)
	w.write("# nothing\n")
	r := w.cycle()
	if r.Err != nil || len(r.Info.Emptied) != 0 {
		t.Errorf("emptied %v, err %v; listed %v", r.Info.Emptied, r.Err, w.listed())
	}
}
