package cycle_test

import (
	"flag"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/tree"
	"mirrorcycle/workflows"
)

var record = flag.String("record", "", "write histories named after this version into workflows/testdata")

// TestRecord runs every way through the workflows. With -record NAME it writes
// their histories for the replay test; existing ones are never overwritten.
func TestRecord(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	u.Project("nova", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: u.AptMirror("debian", "1h") + u.PyPIMirror("pypi", "1h")})
	id := mirrorTree(t, h)
	histories := lab.Recording{Client: h.Client, Version: *record, Dir: h.Dir}
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	histories.Save(t, "cycle-first", h.CycleID())
	histories.Save(t, "refresh-first", workflows.RefreshID(id))
	histories.Save(t, "serve-first", workflows.ServeID(id, "here"))
	outcomes(t, h.Cycle(), workflows.Unchanged, workflows.Unchanged)
	histories.Save(t, "refresh-unchanged", workflows.RefreshID(id))
	u.Debs()
	r := h.Cycle()
	outcomes(t, r, workflows.Held, workflows.Unchanged)
	histories.Save(t, "refresh-held", workflows.RefreshID(id))
	h.Mirror("debian", workflows.Order{Approved: r.Mirrors[0].Plan})
	histories.Save(t, "refresh-approved", workflows.RefreshID(id))
	h.Mirror("debian", workflows.Order{Rollback: 1})
	histories.Save(t, "refresh-rollback", workflows.RefreshID(id))
	h.Regions["there"].Down(true)
	if m := h.Cycle().Mirrors[0]; m.Regions[1].Outcome != workflows.Failed {
		t.Fatalf("%+v", m)
	}
	histories.Save(t, "serve-down", workflows.ServeID(id, "there"))
}

func mirrorTree(t *testing.T, h *lab.House) string {
	t.Helper()
	tr, err := tree.Read(tree.Config{Dir: h.Spec.TreeDir("debian"), State: h.Spec.StateDir("debian")})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	return tr.ID().Tree
}
