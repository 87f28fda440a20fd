package lab

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
)

// Recording is where histories go, for the test that replays them.
type Recording struct {
	Client  client.Client
	Version string // of the file names; "" writes nothing
	Dir     string // of the test, which the files do not name
}

// Save writes the history of a workflow into workflows/testdata. An existing
// file is never overwritten: it is what an earlier version did.
func (r Recording) Save(t *testing.T, what, id string) {
	t.Helper()
	it := r.Client.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
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
	if r.Version == "" {
		return
	}
	data, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(&history)
	if err != nil {
		t.Fatal(err)
	}
	data = []byte(strings.ReplaceAll(string(data), r.Dir, "/srv/mirror"))
	f, err := os.OpenFile(filepath.Join(Root(), "workflows/testdata", r.Version+"-"+what+".json.gz"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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
