package scale_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"mirrorcycle/activities"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"

	"go.temporal.io/sdk/temporal"
)

// The most that a payload and a history may have, far from where Temporal ends them.
const (
	maxPayload = 256 << 10
	maxEvents  = 10_000
)

// crowded is a spec of many mirrors, each with many named projects, and regions.
func (s *stage) crowded(mirrors, regions, projects int) mirrorspec.Spec {
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: s.storage, MirrorWait: mirrorspec.Duration(time.Hour), ReleaseWait: mirrorspec.Duration(time.Hour)},
		Storage: mirrorspec.Storage{Name: s.storage}}
	var names []string
	for i := range regions {
		names = append(names, fmt.Sprintf("region-%02d", i))
		spec.Regions = append(spec.Regions, mirrorspec.Region{Name: names[i], Dir: long(100, "/srv/", i), URL: "http://" + names[i] + ".example.org"})
	}
	var wanted []string
	for i := range projects {
		wanted = append(wanted, fmt.Sprintf("project-%04d-%x", i, i*i*7919))
	}
	for i := range mirrors {
		spec.Mirrors = append(spec.Mirrors, mirrorspec.Mirror{Name: fmt.Sprintf("mirror-%03d", i), Kind: mirrorspec.PyPI,
			Upstream: []string{long(150, "https://upstream.example.org/", i)}, Regions: names, Projects: wanted})
	}
	return spec
}

// worst are steps that all say as much as they can. Every region fails.
func (s *stage) worst() map[string]any {
	texts := func(n int, what string) (out []string) {
		for i := range n {
			out = append(out, long(400, what, i))
		}
		return out
	}
	notes := func() []tree.Note {
		var out []tree.Note
		for i := range 1000 {
			out = append(out, tree.Note{Unit: long(100, "unit", i), Kind: "malformed", Error: long(2000, "error", i)})
		}
		return activities.Told(out)
	}
	return map[string]any{
		"Identify": func(_ context.Context, t activities.Target) (activities.Identified, error) {
			return activities.Identified{Tree: s.storage + t.Mirror.Name, Sealed: 4}, nil
		},
		"Open": func(_ context.Context, in activities.OpenInput) (activities.Opened, error) {
			return activities.Opened{Tree: s.storage + in.Target.Mirror.Name, Epoch: 1, Committed: 4, Sealed: 4}, nil
		},
		"Plan": func(context.Context, activities.PlanInput) (activities.Planned, error) {
			return activities.Planned{Info: tree.PlanInfo{Deferred: notes(), Emptied: texts(200, "emptied")}}, nil
		},
		"Tend": func(context.Context, activities.TendInput) (activities.Tended, error) {
			return activities.Tended{Problems: texts(100, "tended"), Mended: texts(100, "mended")}, nil
		},
		"Publish": func(context.Context, activities.RegionInput) (activities.Outcome, error) {
			return activities.Outcome{Serves: 4, Changed: true}, nil
		},
		"Probe": func(context.Context, activities.RegionInput) (activities.Probed, error) {
			return activities.Probed{Serves: 4}, nil
		},
		"Confirm": func(context.Context, activities.RegionInput) error {
			return temporal.NewNonRetryableApplicationError(long(4000, "confirm"), string(fault.NoSpace), nil)
		},
		"Reap": func(_ context.Context, in activities.RegionInput) (activities.Reaped, error) {
			return activities.Reaped{Scrubbed: backend.Scrubbed{Problems: texts(100, in.Region.Name), Mended: texts(100, in.Region.Name)}}, nil
		},
		"Report": func(context.Context, activities.ReportInput) (activities.Reported, error) {
			return activities.Reported{}, nil
		},
	}
}

// bounded checks every history of the test's workflows.
func (s *stage) bounded(ids ...string) {
	s.t.Helper()
	var most size
	for _, id := range ids {
		got, _ := s.history(id, "")
		most.events, most.largest = max(most.events, got.events), max(most.largest, got.largest)
		if got.events > maxEvents || got.largest > maxPayload {
			s.t.Errorf("%s: %d events, the largest of %d bytes", id, got.events, got.largest)
		}
	}
	s.t.Logf("%d histories: %d events and %d bytes in one at most", len(ids), most.events, most.largest)
}

// TestManyMirrorsInManyRegions: a cycle whose every region fails with a hundred
// problems, and whose every mirror has a thousand notes, ends well.
func TestManyMirrorsInManyRegions(t *testing.T) {
	mirrors, regions := 12, 6
	if whole() {
		mirrors, regions = 200, 30
	}
	s := newStage(t)
	s.steps(s.worst())
	s.work()
	defer s.rest()
	spec := s.crowded(mirrors, regions, 2000)
	run := s.start("MirrorCycle", workflows.CycleID(s.storage), workflows.CycleInput{Spec: spec})
	var got workflows.CycleResult
	if err := run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	ids := []string{run.GetID()}
	for _, m := range got.Mirrors {
		if m.Outcome != workflows.Failed && m.Outcome != workflows.Partial || len(m.Regions) != regions {
			t.Errorf("%s: %s in %d regions: %s", m.Mirror, m.Outcome, len(m.Regions), m.Error)
		}
		for _, r := range m.Regions {
			if r.Outcome != workflows.Failed || r.FaultKind != string(fault.NoSpace) {
				t.Errorf("%s in %s: %s, %s", m.Mirror, r.Region, r.Outcome, r.FaultKind)
			}
			ids = append(ids, workflows.ServeID(s.storage+m.Mirror, r.Region))
		}
		ids = append(ids, workflows.PassID(run.GetID(), m.Mirror), workflows.RefreshID(s.storage+m.Mirror))
	}
	s.bounded(ids...)
}

// TestManyShards: a fetch of very many shards goes on in new runs of its workflow,
// each with a short history, and fetches every shard once.
func TestManyShards(t *testing.T) {
	shards := 1500
	if whole() {
		shards = 50_000
	}
	s := newStage(t)
	stubs := s.fetching(nil, nil)
	stubs["Plan"] = func(context.Context, activities.PlanInput) (activities.Planned, error) {
		return activities.Planned{Digest: "d1", Info: tree.PlanInfo{Shards: shards, Adds: int64(shards)}}, nil
	}
	stubs["Fetch"] = func(_ context.Context, in activities.FetchInput) (activities.Fetched, error) {
		s.count(fmt.Sprint("shard ", in.Shard))
		return activities.Fetched{Objects: 1}, nil
	}
	s.steps(stubs)
	s.work()
	defer s.rest()
	in := s.one()
	run := s.start("Refresh", workflows.RefreshID(in.Tree), in)
	var got workflows.MirrorResult
	if err := run.Get(t.Context(), &got); err != nil || got.Outcome != workflows.Done {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range shards {
		if n := s.times(fmt.Sprint("shard ", i)); n != 1 {
			t.Fatalf("shard %d was fetched %d times", i, n)
		}
	}
	list, err := s.client.WorkflowService().ListWorkflowExecutions(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: "default", Query: fmt.Sprintf("WorkflowId = %q", run.GetID()), PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Executions) < 2 {
		t.Errorf("%d runs: the fetch never went on in a new one", len(list.Executions))
	}
	for _, e := range list.Executions {
		if h, _ := s.history(run.GetID(), e.Execution.RunId); h.events > maxEvents || h.largest > maxPayload {
			t.Errorf("%d events, the largest of %d bytes", h.events, h.largest)
		}
	}
}
