package main

import (
	"bytes"
	"strings"
	"testing"

	"mirrorcycle/activities"
)

// TestStatusOfSites: what a site holds and what its region's URL serves are two facts.
func TestStatusOfSites(t *testing.T) {
	s := mirrorStatus{MirrorStatus: activities.MirrorStatus{Mirror: "debian", Committed: 7, Sealed: 7},
		Regions: []regionStatus{{Region: "dfw", Serves: 7}, {Region: "iad", Serves: 7}}}
	s.Sites = []activities.Outcome{{Region: "dfw", Serves: 7}, {Region: "iad", Serves: 5}}
	if !s.fine() {
		t.Error("no site has a fault")
	}
	s.Sites[1].Error, s.Sites[1].Behind = "the site holds generation 5", 2500
	if s.fine() {
		t.Error("a site that lags is fine")
	}
	var out bytes.Buffer
	if err := printStatus(&out, false, []mirrorStatus{s}); err != nil {
		t.Fatal(err)
	}
	if want := "dfw 7, iad 7 (site 5, up to 2.6 MB behind)"; !strings.Contains(out.String(), want) {
		t.Errorf("%s\nlacks %q", out.String(), want)
	}
	s.Sites, s.SitesFail = nil, "afs: look up volume"
	if s.fine() || s.note() == "" {
		t.Error("a cell that does not answer is fine")
	}
}

// TestWhatAMirrorLacks is told with counts and a reason, and by why.
func TestWhatAMirrorLacks(t *testing.T) {
	s := mirrorStatus{MirrorStatus: activities.MirrorStatus{Mirror: "pypi", Missing: 2, Refused: 1, Lacks: []activities.Lack{{File: "a-1.zip", Reason: "upstream has it not"}}}}
	for _, want := range []string{"3 files", "2 could not be had", "1 cannot be believed", "upstream has it not"} {
		if !strings.Contains(s.note(), want) {
			t.Errorf("%q is not in %q", want, s.note())
		}
	}
	if got := explain("pypi", &activities.Why{Path: "packages/a-1.zip", Lacks: "upstream has it not"}); !strings.Contains(got, "upstream lists it, but: upstream has it not") {
		t.Error(got)
	}
}
