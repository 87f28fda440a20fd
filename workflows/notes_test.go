package workflows_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"mirrorcycle/activities"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// TestNotesOfAllMirrorsFitIntoOneResult: Temporal refuses a result of more than
// 2 MB, and a cycle whose upstreams are all in trouble must end nevertheless.
func TestNotesOfAllMirrorsFitIntoOneResult(t *testing.T) {
	w := newWorld(t)
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "c", MirrorWait: mirrorspec.Duration(5 * time.Hour)}, Storage: mirrorspec.Storage{Name: "main"}}
	for _, name := range strings.Split("abcdefghijklmnopqrst", "") {
		spec.Mirrors = append(spec.Mirrors, mirrorspec.Mirror{Name: name, Kind: mirrorspec.PyPI})
	}
	w.env.OnActivity("Report", mock.Anything, mock.Anything).Return(activities.Reported{}, nil)
	notes := activities.Told(slices.Repeat([]tree.Note{{Unit: "project", Kind: "malformed", Error: strings.Repeat("x", 10000)}}, 1000))
	w.env.OnWorkflow("Mirror", mock.Anything, mock.Anything).Return(workflows.MirrorResult{Outcome: workflows.Partial, Deferred: notes}, nil)
	w.env.ExecuteWorkflow("MirrorCycle", workflows.CycleInput{Spec: spec})
	var got workflows.CycleResult
	if err := w.env.GetWorkflowResult(&got); err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, m := range got.Mirrors {
		all += len(m.Deferred)
		if m.Outcome != workflows.Partial || len(m.Deferred) == 0 {
			t.Errorf("%s: %s with %d notes", m.Mirror, m.Outcome, len(m.Deferred))
		}
	}
	if all > 1000 {
		t.Errorf("%d notes", all)
	}
}
