package tree_test

import (
	"fmt"
	"slices"
	"testing"

	"mirrorcycle/internal/tree"
)

// removing stores a plan that drops some paths and brings one object, and opens it.
func removing(t *testing.T, tr *tree.Tree, brings string, change func(*tree.PlanInfo), drops ...string) *tree.Plan {
	t.Helper()
	w, err := tr.NewPlan(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	if change != nil {
		change(w.Info())
	}
	for _, p := range drops {
		if err := w.Drop(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Fetch(tree.Item{Path: brings, Size: 1, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
		t.Fatal(err)
	}
	digest, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tr.OpenPlan(digest)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRemovalsHaveADigestOfTheirOwn: what upstream adds meanwhile does not change
// it, nor the order in which the removals were found; one removal more does.
func TestRemovalsHaveADigestOfTheirOwn(t *testing.T) {
	tr := open(t, setup(t))
	held := removing(t, tr, "pool/new-1.deb", nil, "pool/a.deb", "pool/b.deb")
	for name, c := range map[string]struct {
		p    *tree.Plan
		same bool
	}{
		"upstream adds":     {removing(t, tr, "pool/new-2.deb", nil, "pool/a.deb", "pool/b.deb"), true},
		"another order":     {removing(t, tr, "pool/new-1.deb", nil, "pool/b.deb", "pool/a.deb"), true},
		"one removal more":  {removing(t, tr, "pool/new-1.deb", nil, "pool/a.deb", "pool/b.deb", "pool/c.deb"), false},
		"a suite emptied":   {removing(t, tr, "pool/new-1.deb", func(i *tree.PlanInfo) { i.Emptied = []string{"noble"} }, "pool/a.deb", "pool/b.deb"), false},
		"a serial jumps":    {removing(t, tr, "pool/new-1.deb", func(i *tree.PlanInfo) { i.Jumps = []string{"root page: serial 9 after 1"} }, "pool/a.deb", "pool/b.deb"), false},
		"a suite is others": {removing(t, tr, "pool/new-1.deb", func(i *tree.PlanInfo) { i.Renamed = []string{"noble"} }, "pool/a.deb", "pool/b.deb"), false},
	} {
		if got := c.p.Info.Removals == held.Info.Removals; got != c.same {
			t.Errorf("%s: the same digest of removals: %v, want %v", name, got, c.same)
		}
	}
	if p := removing(t, tr, "pool/new-1.deb", nil); p.Info.Removals != "" || p.Approval() != p.Digest {
		t.Errorf("nothing is removed, and its digest is %q", p.Info.Removals)
	}
}

// TestApprovalCoversRemovals: who approved a plan's removals approved fewer of
// them as well, whatever is added, and nothing else.
func TestApprovalCoversRemovals(t *testing.T) {
	tr := open(t, setup(t))
	held := removing(t, tr, "pool/new-1.deb", nil, "pool/a.deb", "pool/b.deb")
	jump := func(text string) func(*tree.PlanInfo) { return func(i *tree.PlanInfo) { i.Jumps = []string{text} } }
	jumps := removing(t, tr, "pool/new-4.deb", jump("root page: serial 9 after 1"))
	for name, c := range map[string]struct {
		approved string
		p        *tree.Plan
		want     bool
	}{
		"by removals, upstream added": {held.Info.Removals, removing(t, tr, "pool/new-2.deb", nil, "pool/a.deb", "pool/b.deb"), true},
		"by removals, fewer of them":  {held.Info.Removals, removing(t, tr, "pool/new-2.deb", nil, "pool/b.deb"), true},
		"by the whole plan":           {held.Digest, removing(t, tr, "pool/new-2.deb", nil, "pool/b.deb"), true},
		"one removal more":            {held.Info.Removals, removing(t, tr, "pool/new-2.deb", nil, "pool/a.deb", "pool/c.deb"), false},
		"the same, and a jump":        {held.Info.Removals, removing(t, tr, "pool/new-3.deb", jump("root page: serial 9 after 1"), "pool/a.deb", "pool/b.deb"), false},
		"a jump that was seen":        {jumps.Approval(), removing(t, tr, "pool/new-5.deb", jump("root page: serial 12 after 1")), true},
		"another jump":                {jumps.Approval(), removing(t, tr, "pool/new-5.deb", jump("9/os: revision 12 after 1")), false},
	} {
		if got, err := tr.Approves(c.approved, c.p); got != c.want || err != nil {
			t.Errorf("%s: approved %v (%v), want %v", name, got, err, c.want)
		}
	}
	if err := tr.ForgetPlan(held.Digest); err != nil {
		t.Fatal(err)
	}
	later := removing(t, tr, "pool/new-6.deb", nil, "pool/b.deb", "pool/a.deb")
	if got, err := tr.Approves(held.Info.Removals, later); !got || err != nil {
		t.Errorf("the plan that was shown is gone, its removals are not: approved %v (%v)", got, err)
	}
}

// TestPlansAreListed, the newest first.
func TestPlansAreListed(t *testing.T) {
	tr := open(t, setup(t))
	one, two := removing(t, tr, "pool/new-1.deb", nil, "pool/a.deb"), removing(t, tr, "pool/new-2.deb", nil, "pool/b.deb")
	all, err := tr.Plans()
	if err != nil || len(all) != 2 || !slices.ContainsFunc(all, func(s tree.Stored) bool { return s.Means(one.Info.Removals[:8]) && s.Digest == one.Digest }) {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].Made.Before(all[1].Made) || all[0].Means("00000000") && two.Means("00000000") {
		t.Errorf("%+v", all)
	}
}
