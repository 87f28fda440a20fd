// Package backendtest holds every backend to the sentences of the contract in package backend.
//
// The suite prepares the trees that a mirror has had, one after another, and
// lets the backend publish them to fresh regions, undisturbed, killed at every
// write boundary, and put to sleep at every write boundary while another takes
// over. It looks at a region only the way clients do, except that the harness
// says what the backend's own storage holds.
package backendtest

import (
	"context"
	"os"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
)

// Harness is what the suite needs of a backend.
type Harness struct {
	// New makes the storage of a group of regions that has never served anything.
	New func(t *testing.T, treeID string) Group
	// Source opens a prepared tree the way the backend's regions reach it. It
	// may be called from several goroutines and lives until the test ends.
	Source func(t *testing.T, p Place) backend.Source
	// Stride is how many write boundaries the tests go on at a time: 1, the
	// default, tries each. MIRRORCYCLE_LONG=1 tries each in any case.
	Stride int
}

func (h Harness) stride() int {
	if os.Getenv("MIRRORCYCLE_LONG") == "1" {
		return 1
	}
	return max(h.Stride, 1)
}

// Group is the storage of one mirror in one group of regions.
type Group struct {
	// Open returns a backend as a new process would; it shares nothing with others but the storage.
	Open func(o Options) backend.Backend
	// Regions are the names of the regions.
	Regions []string
	// Root returns the directory in which clients of a region find the mirror.
	Root func(region string) string
	// Snapshot returns the directory in which they find generation n; nil if
	// the backend keeps no snapshots.
	Snapshot func(region string, n int64) string
	// State describes everything in the storage that outlives a run: names to
	// contents. Leases, stages, logs and the like are left out.
	State func(t *testing.T) map[string]string
	// Storage is the directory that a call without work must not write to.
	Storage string
}

// Options are what a test chooses of a backend.
type Options struct {
	Policy backend.Policy
	Crash  func(point string)
	Now    func() time.Time
}

// Mirror is the name of the suite's mirror.
const Mirror = "demo"

// policy of the suite: short, so that hours are enough.
var policy = backend.Policy{Grace: 2 * time.Hour, Keep: 50 * time.Hour, Every: time.Hour}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"a region serves what was published", testPublish},
		{"what is served already is not touched", testNothingToDo},
		{"an older generation is refused", testOlder},
		{"another tree is refused", testOtherTree},
		{"killed anywhere and called again", testKilled},
		{"killed anywhere and followed by a newer generation", testSkipped},
		{"asleep anywhere and taken over", testZombie},
		{"what was dropped stays until it is due", testDropped},
		{"an unconfirmed flip hurries nothing", testUnconfirmed},
		{"a probe that saw an older generation starts the wait anew", testOlderProbe},
		{"what came back is kept", testReadded},
		{"what was dropped twice waits for the second time", testDroppedTwice},
		{"bytes changed in place", testChanged},
		{"a removed index is gone", testRemovedIndex},
		{"a file takes the name of a directory", testFileForDirectory},
		{"readers see whole generations", testReaders},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

// rig is one group under test, with a clock that only the test moves.
type rig struct {
	Group
	h     Harness
	trees []Place
	now   time.Time
}

func newRig(t *testing.T, h Harness, story ...Content) *rig {
	t.Helper()
	trees := Prepare(t, story...)
	return &rig{Group: h.New(t, trees[0].Tree), h: h, trees: trees, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (r *rig) open() backend.Backend {
	return r.Open(Options{Policy: policy, Now: func() time.Time { return r.now }})
}

func (r *rig) publish(t *testing.T, n int) {
	t.Helper()
	outcomes, err := r.open().Publish(context.Background(), r.h.Source(t, r.trees[n-1]))
	if err != nil {
		t.Fatalf("publish generation %d: %v", n, err)
	}
	if len(outcomes) != len(r.Regions) {
		t.Fatalf("publish generation %d: %d outcomes for %d regions", n, len(outcomes), len(r.Regions))
	}
	for _, o := range outcomes {
		if o.Error != "" || o.Serves != int64(n) {
			t.Fatalf("publish generation %d: %+v", n, o)
		}
	}
}

func (r *rig) confirm(t *testing.T, n int64) {
	t.Helper()
	for _, region := range r.Regions {
		if err := r.open().Confirm(context.Background(), region, n); err != nil {
			t.Fatalf("confirm generation %d: %v", n, err)
		}
	}
}

// served lets hours pass in which each cycle sees generation n.
func (r *rig) served(t *testing.T, n int64, hours int) {
	t.Helper()
	for range hours {
		r.confirm(t, n)
		r.now = r.now.Add(time.Hour)
	}
}

func (r *rig) reap(t *testing.T) backend.Reaped {
	t.Helper()
	out, err := r.open().Reap(context.Background())
	if err != nil {
		t.Fatalf("reap: %v", err)
	}
	return out
}
