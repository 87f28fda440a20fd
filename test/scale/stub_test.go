// Package scale_test runs the workflows against a real server with activities that
// only say what real ones may say at worst: it finds the limits of Temporal.
package scale_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// stage is a server, and a storage whose steps are stubs.
type stage struct {
	t       *testing.T
	client  client.Client
	storage string
	mu      sync.Mutex
	counts  map[string]int
	flows   worker.Worker
}

func newStage(t *testing.T) *stage {
	t.Helper()
	c, _ := lab.Temporal(t)
	return &stage{t: t, client: c, storage: strings.ToLower(t.Name()), counts: map[string]int{}}
}

// steps registers stubs by the names of activities, and serves them until the test ends.
func (s *stage) steps(stubs map[string]any) {
	s.t.Helper()
	for _, queue := range []string{workflows.SyncQueue(s.storage), workflows.FetchQueue(s.storage)} {
		w := worker.New(s.client, queue, worker.Options{MaxConcurrentActivityExecutionSize: 64})
		for name, f := range stubs {
			w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
		}
		if err := w.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(w.Stop)
	}
}

// work serves the workflows until rest.
func (s *stage) work() {
	s.t.Helper()
	s.flows = worker.New(s.client, workflows.Queue, worker.Options{})
	for name, f := range workflows.All() {
		s.flows.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	if err := s.flows.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) rest() { s.flows.Stop() }

// count notes that a step ran, and returns how often it did.
func (s *stage) count(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[step]++
	return s.counts[step]
}

func (s *stage) times(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[step]
}

func (s *stage) start(name, id string, in any) client.WorkflowRun {
	s.t.Helper()
	run, err := s.client.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.Queue}, name, in)
	if err != nil {
		s.t.Fatal(err)
	}
	return run
}

// size is what a run left in its history.
type size struct{ events, largest int }

// history measures one run of a workflow, and returns its last event.
func (s *stage) history(id, run string) (out size, last *historypb.HistoryEvent) {
	s.t.Helper()
	it := s.client.GetWorkflowHistory(context.Background(), id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		last = e
		out.events++
		out.largest = max(out.largest, proto.Size(e))
	}
	return out, last
}

// closed is the status of a workflow's newest run.
func (s *stage) closed(id string) enumspb.WorkflowExecutionStatus {
	s.t.Helper()
	d, err := s.client.DescribeWorkflowExecution(s.t.Context(), id, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return d.WorkflowExecutionInfo.Status
}

// long is a text of n bytes, as a path or an error may be; each is another one.
func long(n int, parts ...any) string {
	text := fmt.Sprint(parts...) + " "
	for i := 0; len(text) < n; i++ {
		text += fmt.Sprintf("pool/main/x%d/%x/", i*7919%1000, i*i*104729)
	}
	return text[:n]
}

// whole reports whether the test may take as long as make scale does.
func whole() bool { return os.Getenv("MIRRORCYCLE_SCALE") != "" }
