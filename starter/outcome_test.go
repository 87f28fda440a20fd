package main

import (
	"strings"
	"testing"
	"time"

	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// TestExitStatusOfACycle: nobody who scripts against it takes builds that failed for done.
func TestExitStatusOfACycle(t *testing.T) {
	wheels := func(o workflows.Outcome) workflows.CycleResult {
		return workflows.CycleResult{Outcome: o, Mirrors: []workflows.MirrorResult{{Mirror: "wheels", Outcome: workflows.Unchanged,
			Wheels: []workflows.WheelsResult{{Platform: "debian-12", Outcome: workflows.Unchanged}, {Platform: "noble", Outcome: o, Failed: 2, Error: "no worker took it on"}}}}}
	}
	for o, want := range map[workflows.Outcome]error{workflows.Unchanged: nil, workflows.Done: nil, workflows.Late: nil, workflows.Busy: nil,
		workflows.Partial: status(exitPartly), workflows.Failed: status(exitPartly)} {
		if got := outcomeStatus(wheels(o)); got != want {
			t.Errorf("builds that are %s: %v, want %v", o, got, want)
		}
	}
	if text := describe(wheels(workflows.Failed).Mirrors[0]); !strings.Contains(text, "wheels for noble: failed") || !strings.Contains(text, "no worker took it on") {
		t.Errorf("%s\nsays nothing of the builds that failed", text)
	}
}

// TestExitStatusOfAPartialMirror: what misses something, and has a generation, is not a failure.
func TestExitStatusOfAPartialMirror(t *testing.T) {
	for generation, want := range map[int64]error{0: status(exitFailed), 4: status(exitPartly)} {
		r := workflows.CycleResult{Mirrors: []workflows.MirrorResult{{Mirror: "pypi", Outcome: workflows.Partial, Generation: generation, Missing: 1}}}
		if got := outcomeStatus(r); got != want {
			t.Errorf("generation %d: %v, want %v", generation, got, want)
		}
	}
}

// TestPathsOfRegionsBelowOneAnother: the region whose URL is the longest is meant.
func TestPathsOfRegionsBelowOneAnother(t *testing.T) {
	spec := &mirrorspec.Spec{Mirrors: []mirrorspec.Mirror{{Name: "debian"}},
		Regions: []mirrorspec.Region{{Name: "dfw", URL: "http://m.example.org/dfw"}, {Name: "all", URL: "http://m.example.org"}, {Name: "ord", URL: "http://m.example.org/ord"}}}
	for _, arg := range []string{"http://m.example.org/dfw/debian/pool/a.deb", "http://m.example.org/debian/pool/a.deb",
		"http://m.example.org/ord/debian/pool/a.deb", "debian/pool/a.deb"} {
		if mirror, path, err := locate(spec, arg); mirror != "debian" || path != "pool/a.deb" {
			t.Errorf("%s: %q %q %v", arg, mirror, path, err)
		}
	}
}

// TestPathsOfOddNames: URLs are escaped, paths may be either.
func TestPathsOfOddNames(t *testing.T) {
	spec := &mirrorspec.Spec{Mirrors: []mirrorspec.Mirror{{Name: "pypi"}}, Regions: []mirrorspec.Region{{Name: "dfw", URL: "http://m.example.org"}}}
	for arg, want := range map[string]string{
		"http://m.example.org/pypi/p/a-1%212.0%2Bb.whl":       "p/a-1!2.0+b.whl",
		"http://m.example.org/pypi/p/a%23%25b.zip#sha256=abc": "p/a#%b.zip",
		"pypi/p/a-1!2.0+b#c.zip":                              "p/a-1!2.0+b#c.zip",
		"pypi/p/a?b.zip":                                      "p/a?b.zip",
		"/pypi/p/g%2b%2b.deb":                                 "p/g++.deb",
		"pypi/p/100%.zip":                                     "p/100%.zip",
	} {
		if mirror, path, err := locate(spec, arg); mirror != "pypi" || path != want {
			t.Errorf("%s: %q %q %v", arg, mirror, path, err)
		}
	}
}

// TestASkipEndsInTheFuture: one that has ended skips nothing, and would be reported as done.
func TestASkipEndsInTheFuture(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for until, want := range map[string]bool{"": true, "14d": true, "2026-11-23": true, "2026-11-22": false, "2025-12-31": false, "0s": false} {
		if _, err := parseUntil(until, now); (err == nil) != want {
			t.Errorf("%q: %v, want it taken: %v", until, err, want)
		}
	}
}
