package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/fault"
)

// Server is Temporal's, as far as this host could connect.
type Server struct {
	Client    client.Client // nil if Err says why not
	Err       error
	Namespace string
}

const temporal = "temporal"

// Examine checks that the server can be reached, that it has the namespace and
// the search attributes, and that its clock agrees with this host's.
func (s Server) Examine(ctx context.Context, attributes map[string]string, now func() time.Time) []Finding {
	if s.Err != nil {
		return []Finding{finding(temporal, "server", s.Err, "")}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	all := []Finding{finding(temporal, "server", nil, "it answers")}
	_, err := s.Client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.Namespace})
	if err != nil {
		err = &fault.Error{Kind: fault.Config, Op: "temporal: look at namespace", Subject: s.Namespace, Err: err, Advice: "make it (temporal operator namespace create), or set TEMPORAL_NAMESPACE"}
		return append(all, finding(temporal, "namespace", err, ""))
	}
	return append(all, finding(temporal, "namespace", nil, s.Namespace+" is there"), s.searchAttributes(ctx, attributes), s.clock(ctx, now))
}

func (s Server) searchAttributes(ctx context.Context, want map[string]string) Finding {
	have, err := s.Client.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: s.Namespace})
	if err != nil {
		return Finding{temporal, "search attributes", Unknown, err.Error(), "an account that may list them can tell"}
	}
	var missing []string
	for name, kind := range want {
		if got, ok := have.CustomAttributes[name]; !ok || got.String() != kind {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		err = &fault.Error{Kind: fault.Config, Op: "temporal: look at search attributes", Err: fmt.Errorf("missing or of another type: %s", strings.Join(missing, ", ")), Advice: "run starter setup"}
	}
	return finding(temporal, "search attributes", err, fmt.Sprintf("all %d are there", len(want)))
}

// apart is by how much clocks may differ. Deletions stop at two minutes.
const apart = time.Minute

// clock asks for the server's time: what it noted as the start of a workflow that nobody runs.
func (s Server) clock(ctx context.Context, now func() time.Time) Finding {
	const name = "clock"
	id, before := "doctor/"+strings.ToLower(rand.Text()[:8]), now()
	run, err := s.Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: id, WorkflowExecutionTimeout: time.Minute,
		StaticSummary: "starter doctor asks for the server's time"}, "Doctor")
	if err != nil {
		return Finding{temporal, name, Unknown, err.Error(), ""}
	}
	after := now()
	seen, err := s.Client.DescribeWorkflowExecution(ctx, id, run.GetRunID())
	ended := s.Client.TerminateWorkflow(ctx, id, run.GetRunID(), "starter doctor has its answer")
	if err := errors.Join(err, ended); err != nil {
		return Finding{temporal, name, Unknown, err.Error(), ""}
	}
	return compareClocks(temporal, name, seen.WorkflowExecutionInfo.StartTime.AsTime(), before, after)
}

// compareClocks judges a time that another host named between two moments of this one's clock.
func compareClocks(check, subject string, there, before, after time.Time) Finding {
	off := time.Duration(0)
	switch {
	case there.Before(before):
		off = before.Sub(there)
	case there.After(after):
		off = there.Sub(after)
	}
	var err error
	if off > apart {
		err = &fault.Error{Kind: fault.Config, Op: "doctor: compare clocks", Err: fmt.Errorf("they differ by %s; deletions stop at two minutes", off.Round(time.Second)), Advice: "run a time service (chrony, systemd-timesyncd) on both"}
	}
	return finding(check, subject, err, "the clocks agree within "+apart.String())
}
