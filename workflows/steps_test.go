package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/mock"

	"mirrorcycle/activities"
	"mirrorcycle/internal/tree"
	"mirrorcycle/workflows"
)

// TestStepsEnd: a refresh goes on as long as a step leaves less than the one
// before, and no further; a failure or a hold ends it, too.
func TestStepsEnd(t *testing.T) {
	cases := map[string]struct {
		before *workflows.Steps
		left   int64
		sealed bool
		goesOn bool
	}{
		"the first of several":      {nil, 10, true, true},
		"less is left":              {&workflows.Steps{Count: 1, Left: 11}, 10, true, true},
		"as much is left as before": {&workflows.Steps{Count: 1, Left: 10}, 10, true, false},
		"nothing is left":           {&workflows.Steps{Count: 3, Left: 10}, 0, true, false},
		"a step that does not seal": {nil, 10, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opened(4, 4, "")
			w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{Digest: "d", Info: tree.PlanInfo{Adds: 1, BaseObjects: 9, Left: c.left}}, nil)
			w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5, Changes: tree.Changes{Added: 1}}, nil)
			w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: c.sealed}, nil)
			w.released(5, true)
			w.env.OnActivity("Publish", mock.Anything, mock.Anything).Return(activities.Outcome{Serves: 5}, nil).Maybe()
			in := input()
			in.Steps = c.before
			if !c.goesOn {
				got := w.refresh(t, in)
				if c.before != nil && got.Changes.Added != c.before.Changes.Added+1 {
					t.Errorf("%+v", got.Changes)
				}
				return
			}
			next := w.goesOn(t, in)
			want := 1
			if c.before != nil {
				want = 2
			}
			if next.Steps == nil || next.Steps.Left != c.left || next.Steps.Count != want || next.Steps.Changes.Added != 1 {
				t.Errorf("%+v", next.Steps)
			}
		})
	}
}
