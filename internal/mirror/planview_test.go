package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// committedToy is a mirror with one generation, of one object of five bytes.
func committedToy(t *testing.T, name mirrorspec.Kind) *Mirror {
	t.Helper()
	kinds[name] = Kind{Engine: func(t Target, c *fetch.Client) (Engine, error) { return toy{t, c}, nil }, Verify: checkToy}
	t.Cleanup(func() { delete(kinds, name) })
	round := sha256.Sum256([]byte("round"))
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+sums {
			fmt.Fprintf(w, "%s  a/ball\n", hex.EncodeToString(round[:]))
			return
		}
		io.WriteString(w, "round")
	}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	target := Target{Storage: mirrorspec.Storage{Root: dir + "/trees", State: dir + "/state"}, Limits: mirrorspec.Limits{Downloads: 2, PerHost: 2},
		Mirror: mirrorspec.Mirror{Name: "toys", Kind: name, Upstream: []string{upstream.URL}}}
	if _, err := tree.Setup(target.Tree(), "toys"); err != nil {
		t.Fatal(err)
	}
	refresh(t, target)
	m := new(Host).Of(target, Run{ID: "run"})
	if _, err := m.Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// storePlan stores a plan from the committed generation, and returns it.
func storePlan(t *testing.T, m *Mirror, drops []string, brings ...string) *tree.Plan {
	t.Helper()
	g, err := m.t.Committed()
	if err != nil {
		t.Fatal(err)
	}
	w, err := m.t.NewPlan(g)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	for _, p := range drops {
		if err := w.Drop(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range brings {
		w.Info().Adds++
		if err := w.Fetch(tree.Item{Path: p, Size: 7, SHA256: fmt.Sprintf("%064d", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	digest, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.t.OpenPlan(digest)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func askPlan(t *testing.T, m *Mirror, q Question) (*PlanView, error) {
	t.Helper()
	q.Verb = VerbPlan
	a, err := m.Answer(t.Context(), q)
	return a.Plan, err
}

// TestPlanIsShown: names, sizes, sums and the digest to approve; the rows are
// bounded, the counts are not, and the next question goes on where one ended.
func TestPlanIsShown(t *testing.T) {
	m := committedToy(t, "shown")
	if v, err := askPlan(t, m, Question{}); v != nil || err != nil {
		t.Fatalf("nothing is stored: %+v, %v", v, err)
	}
	p := storePlan(t, m, []string{"a/ball"}, "b/cube", "b/dice", "c/cone")
	v, err := askPlan(t, m, Question{Rows: 2})
	if err != nil || !v.Held || len(v.Reasons) != 1 || v.Approval != p.Info.Removals || v.Base != 1 || v.Digest != p.Digest {
		t.Fatalf("%+v, %v", v, err)
	}
	if v.Drops != 1 || v.DropBytes != 5 || v.Adds != 3 || v.Fetches != 3 || v.FetchBytes != 21 || v.BaseObjects != 1 {
		t.Errorf("sums %+v", v)
	}
	if got, want := fmt.Sprint(v.Units), "[{a 1 5 0 0} {b 0 0 2 14} {c 0 0 1 7}]"; got != want {
		t.Errorf("units %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(v.Rows, v.MoreRows), "[{drop a a/ball 5} {fetch b b/cube 7}] 2"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	rest, err := askPlan(t, m, Question{Rows: 9, From: 2})
	if err != nil || fmt.Sprint(rest.Rows, rest.MoreRows) != "[{fetch b b/dice 7} {fetch c c/cone 7}] 0" {
		t.Errorf("the rest %+v, %v", rest, err)
	}
}

// TestOnlyHeldPlansAreApproved: eight characters find the plan that is held, also
// after upstream has added something; what is not held is refused with a word on what is.
func TestOnlyHeldPlansAreApproved(t *testing.T) {
	m := committedToy(t, "approved")
	waiting := storePlan(t, m, nil, "b/cube")
	refused := func(digest, want string) {
		t.Helper()
		if v, err := askPlan(t, m, Question{Plan: digest}); v != nil || !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), want) {
			t.Errorf("approving %s: %+v, %v; want %q", digest, v, err, want)
		}
	}
	refused(waiting.Digest, "no plan of the mirror is held")
	held := storePlan(t, m, []string{"a/ball"}, "b/cube")
	later := storePlan(t, m, []string{"a/ball"}, "b/cube", "b/dice")
	short := held.Info.Removals[:8]
	for _, digest := range []string{short, strings.ToUpper(short), held.Info.Removals, held.Digest} {
		v, err := askPlan(t, m, Question{Plan: digest})
		if err != nil || v.Approval != held.Info.Removals || v.Digest != held.Digest && v.Digest != later.Digest {
			t.Errorf("approving %s: %+v, %v", digest, v, err)
		}
	}
	refused(short[:7], "7 characters")
	refused(waiting.Digest, "what is held is "+short)
	refused(strings.Repeat("0", 64), "what is held is "+short)

	// A plan from another generation is out of date, unless a person was asked about it.
	old := storePlan(t, m, []string{"a/ball", "a/bat"}, "b/cube")
	if _, err := m.t.Rollback(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	refused(old.Info.Removals, "no plan of the mirror is held")
	if _, err := heldPlans(m.t, TendOptions{Plan: old.Digest}); err != nil {
		t.Fatal(err)
	}
	if v, err := askPlan(t, m, Question{Plan: old.Info.Removals[:8]}); err != nil || v.Digest != old.Digest {
		t.Errorf("a plan that a person was asked about: %+v, %v", v, err)
	}
}

// TestUnitsOfPaths: what a dropped path is counted under.
func TestUnitsOfPaths(t *testing.T) {
	for _, c := range []struct {
		kind       mirrorspec.Kind
		path, want string
	}{
		{mirrorspec.Apt, "pool/main/d/demo/demo_1_all.deb", "pool/main"},
		{mirrorspec.Apt, "dists/noble/main/binary-amd64/by-hash/SHA256/00", "dists/noble"},
		{mirrorspec.Apt, "demo_1_all.deb", "."},
		{mirrorspec.Yum, "9/BaseOS/x86_64/os/Packages/d/demo-1.noarch.rpm", "9/BaseOS/x86_64/os"},
		{mirrorspec.Yum, "el9/demo-1.noarch.rpm", "el9"},
		{mirrorspec.PyPI, "packages/ab/cd/oslo_config-1.0-py3-none-any.whl", "oslo-config"},
		{mirrorspec.PyPI, "packages/ab/cd/oslo-config-1.0.tar.gz", "oslo-config"},
		{mirrorspec.Wheels, "packages/ab/cd/nova-1.0-cp312-cp312-linux_x86_64.whl", "nova"},
	} {
		if got := unitOf(c.kind, c.path); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, c.path, got, c.want)
		}
	}
}
