package workflows_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// goesOn runs a refresh that goes on in a new run, and returns that one's input.
func (w *world) goesOn(t *testing.T, in workflows.RefreshInput) (next workflows.RefreshInput) {
	t.Helper()
	w.env.ExecuteWorkflow("Refresh", in)
	var again *workflow.ContinueAsNewError
	if err := w.env.GetWorkflowError(); !errors.As(err, &again) {
		t.Fatalf("it does not go on: %v", err)
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &next); err != nil {
		t.Fatal(err)
	}
	return next
}

func (w *world) orders(at time.Duration, o workflows.Order) {
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(workflows.SignalOrder, o) }, at)
}

// TestOrderToADryRun: an order that reaches a dry run is carried out, not tried.
func TestOrderToADryRun(t *testing.T) {
	w := newWorld(t)
	w.opened(4, 4, "")
	w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil).After(time.Hour)
	in := input()
	in.DryRun, in.Order = true, workflows.Order{}
	w.orders(time.Minute, workflows.Order{Approved: "d1"})
	if next := w.goesOn(t, in); next.DryRun || next.Order.Approved != "d1" || next.Going != nil {
		t.Errorf("%+v", next)
	}
}

// TestALaterOrderIsToldOfTheEarlier: of two orders that come while a step cannot
// be broken off the later one is carried out, and the result names the other.
func TestALaterOrderIsToldOfTheEarlier(t *testing.T) {
	first, second := workflows.Order{Approved: "d1"}, workflows.Order{Rollback: 2}
	w := newWorld(t)
	w.opened(4, 4, "")
	w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{Digest: "d2", Info: tree.PlanInfo{Adds: 1, BaseObjects: 10}}, nil)
	w.env.OnActivity("Commit", mock.Anything, mock.Anything).Return(activities.Committed{Number: 5}, nil).After(time.Hour)
	w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 5, Sealed: true}, nil).Maybe()
	in := input()
	in.Order = workflows.Order{}
	w.orders(time.Minute, first)
	w.orders(2*time.Minute, second)
	w.orders(3*time.Minute, second) // twice is once
	next := w.goesOn(t, in)
	if !next.Order.Same(second) || len(next.Replaced) != 1 || !next.Replaced[0].Same(first) {
		t.Fatalf("%+v", next)
	}
	w = newWorld(t)
	w.opened(5, 5, "")
	w.env.OnActivity("Rollback", mock.Anything, mock.Anything).Return(activities.Committed{Number: 6}, nil)
	w.env.OnActivity("Verify", mock.Anything, mock.Anything).Return(activities.Verified{Number: 6, Sealed: true}, nil)
	w.released(6, true)
	next.Order.ReleaseWait = mirrorspec.Duration(time.Minute)
	if got := w.refresh(t, next); len(got.Replaced) != 1 || !got.Replaced[0].Same(first) || got.Generation != 6 {
		t.Errorf("%+v", got)
	}
}

// TestAnOrderBreaksAnOtherOneOff: who gave the one that was under way is told, too.
func TestAnOrderBreaksAnOtherOneOff(t *testing.T) {
	w := newWorld(t)
	w.opened(4, 4, "")
	w.env.OnActivity("Plan", mock.Anything, mock.Anything).Return(activities.Planned{}, nil).After(time.Hour)
	in := input()
	in.Order = workflows.Order{Approved: "d1"}
	w.orders(time.Minute, workflows.Order{Rollback: 3})
	next := w.goesOn(t, in)
	want := []workflows.Order{{Approved: "d1"}}
	if diff := cmp.Diff(want, next.Replaced); diff != "" || next.Order.Rollback != 3 {
		t.Errorf("%+v: %s", next.Order, diff)
	}
}

// TestNoMirrorNameCollidesWithACycle: a mirror may be called as a cycle's other forms are.
func TestNoMirrorNameCollidesWithACycle(t *testing.T) {
	for _, name := range []string{"dry-run", "only", "m"} {
		if id := workflows.PassID(workflows.CycleID("c"), name); strings.HasPrefix(id, workflows.CycleID("c")) {
			t.Errorf("the part of %s in a cycle is called %s, as a cycle may be", name, id)
		}
	}
}

// TestStuckCyclesTimeOut: the server ends a cycle that cannot end itself, before
// the schedule would leave out more than the next one.
func TestStuckCyclesTimeOut(t *testing.T) {
	day := mirrorspec.Duration(24 * time.Hour)
	for due, want := range map[time.Duration]time.Duration{0: 26 * time.Hour, time.Second: 10 * time.Second, 2 * time.Hour: 2 * time.Hour} {
		in := workflows.CycleInput{Spec: mirrorspec.Spec{Cycle: mirrorspec.Cycle{MirrorWait: day}}, Due: mirrorspec.Duration(due)}
		if got := in.Timeout(); got != want {
			t.Errorf("due after %s: %s, want %s", due, got, want)
		}
	}
}
