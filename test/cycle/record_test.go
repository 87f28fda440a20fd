package cycle_test

import (
	"compress/gzip"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

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
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)
	save(t, h, "cycle-first", h.CycleID())
	save(t, h, "mirror-first", workflows.MirrorID(id))
	save(t, h, "release-first", workflows.ReleaseID(id, "here"))
	outcomes(t, h.Cycle(), workflows.Unchanged, workflows.Unchanged)
	save(t, h, "mirror-unchanged", workflows.MirrorID(id))
	u.Debs()
	r := h.Cycle()
	outcomes(t, r, workflows.Held, workflows.Unchanged)
	save(t, h, "mirror-held", workflows.MirrorID(id))
	h.Mirror("debian", func(in *workflows.MirrorInput) { in.Approved = r.Mirrors[0].Plan })
	save(t, h, "mirror-approved", workflows.MirrorID(id))
	h.Mirror("debian", func(in *workflows.MirrorInput) { in.Rollback = 1 })
	save(t, h, "mirror-rollback", workflows.MirrorID(id))
	h.Regions["there"].Down(true)
	if m := h.Cycle().Mirrors[0]; m.Regions[1].Outcome != workflows.Failed {
		t.Fatalf("%+v", m)
	}
	save(t, h, "release-down", workflows.ReleaseID(id, "there"))
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

func save(t *testing.T, h *lab.House, what, id string) {
	t.Helper()
	it := h.Client.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var history historypb.History
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, e)
	}
	if len(history.Events) < 5 {
		t.Fatalf("%s has %d events", id, len(history.Events))
	}
	if *record == "" {
		return
	}
	data, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(&history)
	if err != nil {
		t.Fatal(err)
	}
	data = []byte(strings.ReplaceAll(string(data), h.Dir, "/srv/mirror"))
	f, err := os.OpenFile(filepath.Join(lab.Root(), "workflows/testdata", *record+"-"+what+".json.gz"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}
