package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/activities"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/tree"
	"mirrorcycle/workflows"
)

// TestPlanReads: what a held plan does ends with the command that approves it,
// and with nothing stored the command that makes one is told.
func TestPlanReads(t *testing.T) {
	removals := "75ffbba4" + strings.Repeat("0", 56)
	v := &activities.PlanView{Mirror: "debian", Held: true, Approval: removals, Reasons: []string{"removes 6 of 10 objects, more than half"},
		Made: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), Base: 4, BaseObjects: 10, Drops: 6, DropBytes: 900, Adds: 1, Fetches: 1, FetchBytes: 20, IndexChanges: 3, MoreRows: 5}
	v.Units = append(v.Units, mirror.PlanUnit{Unit: "pool/main", Drops: 6, DropBytes: 900}, mirror.PlanUnit{Unit: "noble", Fetches: 1, FetchBytes: 20})
	v.Rows = append(v.Rows, mirror.PlanRow{Change: "drop", Unit: "pool/main", Path: "pool/main/a.deb", Size: 150}, mirror.PlanRow{Change: "drop", Unit: "pool/main", Path: "pool/main/b.deb", Size: -1})
	var out bytes.Buffer
	printPlan(&out, "debian", v)
	printPlan(&out, "pypi", nil)
	current(t, "testdata/plan.golden", out.Bytes())
}

// TestOneDigestEverywhere: a result, the status and the plan name the same eight characters.
func TestOneDigestEverywhere(t *testing.T) {
	removals := "75ffbba4" + strings.Repeat("0", 56)
	m := workflows.MirrorResult{Mirror: "debian", Outcome: workflows.Held, Plan: "whole", Info: &tree.PlanInfo{Removals: removals}}
	s := mirrorStatus{MirrorStatus: activities.MirrorStatus{Mirror: "debian", Last: &activities.LastRun{Outcome: "held", Plan: m.Approval()}}}
	for name, text := range map[string]string{"run": describe(m), "status": s.note()} {
		if !strings.HasSuffix(strings.TrimSpace(text), "starter approve debian 75ffbba4") || !strings.Contains(text, "starter plan debian") {
			t.Errorf("%s says %q", name, text)
		}
	}
	m.Info.Removals = "" // of a run of an earlier version
	if diff := cmp.Diff("whole", m.Approval()); diff != "" {
		t.Error(diff)
	}
}
