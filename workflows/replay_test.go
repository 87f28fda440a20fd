package workflows_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"go.temporal.io/sdk/client"

	"mirrorcycle/workflows"
)

// TestRecordedHistoriesReplay replays what earlier versions did: a change that
// is not behind a GetVersion would break the workflows that run during an upgrade.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 8 {
		t.Fatalf("only %d histories are recorded", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := worker.NewWorkflowReplayer()
			for name, f := range workflows.All() {
				r.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
			}
			history, err := client.HistoryFromJSON(bytes.NewReader(unzip(t, name)), client.HistoryJSONOptions{})
			if err != nil {
				t.Fatal(err)
			}
			begun := history.Events[0].GetWorkflowExecutionStartedEventAttributes()
			own := worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: begun.GetWorkflowId(), RunID: begun.GetOriginalExecutionRunId()}}
			if err := r.ReplayWorkflowHistoryWithOptions(tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)), history, own); err != nil {
				t.Error(err)
			}
		})
	}
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
