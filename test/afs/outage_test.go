package afs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/afs"
)

// The tests of this file take power and cables from hosts that all volumes
// share, so they run one after another, before those that run in parallel.

// runs counts the releases in the journal.
func (r *rig) runs(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(r.cfg.State, "release", "run.*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// releaseInTheBackground starts a publication; the channel gets its outcomes.
func (r *rig) releaseInTheBackground(t *testing.T) <-chan []backend.Outcome {
	t.Helper()
	o, src := r.options(t), r.source(t)
	done := make(chan []backend.Outcome, 1)
	go func() {
		defer close(done)
		out, err := afs.New(o).Publish(t.Context(), src)
		if err != nil {
			t.Errorf("publish: %v", err)
		}
		done <- out
	}()
	return done
}

// TestSiteServerOff: fs3 loses its power before, during and after releases, for
// several cycles, and comes back.
func TestSiteServerOff(t *testing.T) {
	before, during, after := newRig(t, afslab.Options{}), newRig(t, afslab.Options{RWBeside: true}), newRig(t, afslab.Options{})
	gone := newRig(t, afslab.Options{})
	var ends []func()
	for _, r := range []*rig{before, during, after, gone} {
		r.released(t, r.generation(t, "a", "b"))
		r.confirm(t, r.options(t), 1)
		ends = append(ends, r.customers(t))
	}
	n := during.generation(t, "b", "big")
	running := during.releaseInTheBackground(t)
	until(t, "the release has the lock", func() bool { return strings.Contains(during.entry(t), "LOCKED") })
	before.cell.Stop(t, afslab.FS3)
	t.Run("off", func(t *testing.T) {
		t.Run("during", func(t *testing.T) {
			t.Parallel()
			missed := <-running
			wantOutcome(t, missed, "region1", n, "")
			wantOutcome(t, missed, "region2", n, "")
			for _, o := range missed {
				if o.Region == "region3" && o.Error == "" {
					t.Errorf("the site that is off: %+v", o)
				}
			}
		})
		t.Run("before", func(t *testing.T) { t.Parallel(); before.misses(t) })
		t.Run("after", func(t *testing.T) {
			t.Parallel()
			had := after.runs(t)
			out, err := after.publish(t, after.options(t))
			if err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, out, "region1", 1, "")
			wantOutcome(t, out, "region3", 0, string(fault.Unavailable))
			if got := after.runs(t); got != had {
				t.Errorf("%d releases although nothing is new", got-had)
			}
		})
		t.Run("for too long", func(t *testing.T) { t.Parallel(); gone.loses(t) })
	})
	before.cell.Start(t, afslab.FS3)
	t.Run("on again", func(t *testing.T) {
		for r, n := range map[*rig]int64{before: 3, during: n, after: 1} {
			t.Run(r.volume.Name, func(t *testing.T) { t.Parallel(); r.heals(t, n) })
		}
	})
	for _, end := range ends {
		end()
	}
}

// misses lets the site that is off miss two generations.
func (r *rig) misses(t *testing.T) {
	r.generation(t, "b", "c")
	out, err := r.publish(t, r.options(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region1", 2, "")
	wantOutcome(t, out, "region2", 2, "")
	wantOutcome(t, out, "region3", 0, string(fault.Unavailable))
	r.servedAt(t, afslab.Web1, 2)
	r.servedAt(t, afslab.Web2, 2)
	if e := r.entry(t); !strings.Contains(e, "Old release") {
		t.Errorf("the database does not know that a site is behind:\n%s", e)
	}
	// Further cycles: what cannot help is not tried, what is new goes out.
	had := r.runs(t)
	if out, err = r.publish(t, r.options(t)); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region3", 0, string(fault.Unavailable))
	if got := r.runs(t); got != had {
		t.Errorf("%d releases for a site that is off", got-had)
	}
	r.generation(t, "c", "d")
	if out, err = r.publish(t, r.options(t)); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region2", 3, "")
	// The site that is off holds the deletions back.
	o := r.options(t)
	for range 3 {
		for _, region := range o.Regions[:2] {
			if err := afs.New(o).Confirm(t.Context(), region.Name, 3); err != nil {
				t.Fatal(err)
			}
		}
		r.pass(time.Hour)
	}
	if due, why := r.due(t, o, 2); due || !strings.Contains(why, r.cell.Addr(afslab.FS3)) {
		t.Errorf("due although a site may come back with the old generation: %v %q", due, why)
	}
}

// loses has the site that is off removed, as the spec says.
func (r *rig) loses(t *testing.T) {
	r.generation(t, "b", "c")
	o := r.options(t)
	o.Remove = 10 * time.Hour
	for range 2 {
		if _, err := r.publish(t, o); err != nil {
			t.Fatal(err)
		}
		r.pass(11 * time.Hour)
	}
	if e := r.entry(t); strings.Contains(e, r.cell.Addr(afslab.FS3)) {
		t.Errorf("a site that was away for too long is still there:\n%s", e)
	}
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region2", 2, "")
	wantOutcome(t, out, "region3", 0, string(fault.Config))
}

// TestOnlyALaggingSiteIsReachable: fs3 missed a release, and then all others are cut off.
func TestOnlyALaggingSiteIsReachable(t *testing.T) {
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	n := r.generation(t, "a", "b")
	r.cell.Cut(t, afslab.FS3)
	if _, err := r.publish(t, r.options(t)); err != nil {
		t.Fatal(err)
	}
	r.cell.Heal(t, afslab.FS3)
	r.cell.Cut(t, afslab.FS1)
	r.cell.Cut(t, afslab.FS2)
	out, err := r.publish(t, r.options(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region3", n, "")
	wantOutcome(t, out, "region1", 0, string(fault.Unavailable))
	wantOutcome(t, out, "region2", 0, string(fault.Unavailable))
	r.cell.Heal(t, afslab.FS1)
	r.cell.Heal(t, afslab.FS2)
	r.heals(t, n)
}

// TestReadWriteServerOff: what is released stays served, and nothing is tried.
func TestReadWriteServerOff(t *testing.T) {
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	end := r.customers(t)
	n := r.generation(t, "a", "b")
	had := r.runs(t)
	r.cell.Stop(t, afslab.FS0)
	if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), r.cell.Addr(afslab.FS0)) {
		t.Errorf("without the read-write server: %v", err)
	}
	if got := r.runs(t); got != had {
		t.Errorf("%d releases were begun", got-had)
	}
	r.served(t, 1)
	r.cell.Start(t, afslab.FS0)
	r.heals(t, n)
	end()
}

// TestReadWriteServerOffInMidRelease: fs0 loses its power while it sends the dump.
// No site shows a part of the generation, and what the run left is cleared up.
func TestReadWriteServerOffInMidRelease(t *testing.T) {
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	end := r.customers(t)
	n := r.generation(t, "a", "big1", "big2", "big3", "big4")
	r.cell.Slow(t, afslab.FS2, "20mbit")
	running := r.releaseInTheBackground(t)
	until(t, "the dump is under way", func() bool { return strings.Contains(r.entry(t), "RClone") })
	r.cell.Stop(t, afslab.FS0)
	missed := 0
	for _, o := range <-running {
		switch {
		case o.Kind == string(fault.Unavailable) && o.Error != "":
			missed++
		case o.Serves != n || o.Error != "":
			t.Errorf("without the read-write server: %+v", o)
		}
	}
	if missed == 0 {
		t.Error("every site has it: the power was not taken in mid-release")
	}
	r.cell.Slow(t, afslab.FS2, "off")
	r.cell.Start(t, afslab.FS0)
	r.heals(t, n)
	end()
}

// TestDatabaseServerOff: nobody can say which sites there are, so nothing is done and nothing is due.
func TestDatabaseServerOff(t *testing.T) {
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	end := r.customers(t)
	n := r.generation(t, "b")
	o := r.options(t)
	o.Cell.Enter = r.enter(t, afslab.Writer)
	r.cell.Stop(t, afslab.DB)
	if _, err := r.publish(t, o); !errors.Is(err, fault.Unavailable) {
		t.Errorf("without the database: %v", err)
	}
	if _, err := afs.New(o).Due(t.Context()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("what is due without the database: %v", err)
	}
	r.served(t, 1)
	r.cell.Start(t, afslab.DB)
	r.heals(t, n)
	end()
}

// TestFullPartition: the site on fs1 has too little room for what is new.
func TestFullPartition(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{Small: true})
	o := r.options(t)
	o.Regions[0].Partition = "c"
	r.generation(t, "a")
	if _, err := r.publish(t, o); err != nil {
		t.Fatal(err)
	}
	n := r.generation(t, "a", "big1", "big2", "big3", "big4", "big5")
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region2", n, "")
	wantOutcome(t, out, "region3", n, "")
	for _, s := range out {
		if s.Region == "region1" && (s.Kind != string(fault.NoSpace) || !strings.Contains(s.Error, "KB free")) {
			t.Errorf("a full partition: %+v", s)
		}
	}
	// A part of the release is there, generation.json with it: nobody may take that for the generation.
	if err := afs.New(o).Confirm(t.Context(), "region1", n); err == nil {
		t.Error("a part of a generation was confirmed")
	}
}

// TestQuota: the client lets a write beyond the quota succeed and forgets it;
// the tree notices, and the room is known beforehand.
func TestQuota(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{Quota: 6000})
	r.held(t, r.generation(t, "a"))
	room, err := afs.New(r.options(t)).Room(t.Context())
	if err != nil || room <= 0 || room > 6000<<10 {
		t.Fatalf("room for %d bytes, %v", room, err)
	}
	big := content{"dists/Release": "release 2", "dists/Index": "big\n", "pool/big": strings.Repeat("x", 8<<20)}
	if err := backendtest.Commit(r.cfg, big, 2); !errors.Is(err, fault.NoSpace) {
		t.Errorf("8 MB within a quota of 6: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(r.cfg.Dir, "dists/Release")); err != nil || string(data) != "release 1" {
		t.Errorf("the tree shows %q, %v", data, err)
	}
	r.held(t, 1)
	r.held(t, r.generation(t, "a", "b"))
}

// expired runs what follows "--" with a token whose time is up.
const expired = `case " $* " in *" -- "*) while [ "$1" != "--" ]; do shift; done; shift ;; esac; exec env KRB5CCNAME="$0" AFS_TOKEN_FILE="$0.token" "$@"`

// TestExpiredToken: what it says is to be tried again, and with a new ticket it works.
func TestExpiredToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	n := r.generation(t, "a")
	name := "/tmp/" + r.volume.Name + ".cc"
	env := []string{"env", "KRB5CCNAME=" + name, "AFS_TOKEN_FILE=" + name + ".token"}
	run := func(args ...string) error {
		_, err := r.cell.On(afslab.Writer, append(append([]string(nil), env...), args...)...)
		return err
	}
	if err := errors.Join(run("kinit", "-k", "-t", afslab.Keytab("release"), "-l", "5s", "release"), run("aklog")); err != nil {
		t.Fatal(err)
	}
	until(t, "the ticket has expired", func() bool { return run("klist", "-s") != nil })
	o := r.options(t)
	o.Cell = afs.Cell{Name: afslab.Name, Principal: "release", Keytab: afslab.Keytab("release"), Enter: append(r.enter(t, afslab.Writer), "bash", "-c", expired, name)}
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sites {
		wantOutcome(t, out, fmt.Sprint("region", i+1), 0, string(fault.Unavailable))
	}
	if !strings.Contains(out[0].Error, "expired") {
		t.Errorf("it does not say what happened: %+v", out[0])
	}
	r.held(t, n)
}
