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
