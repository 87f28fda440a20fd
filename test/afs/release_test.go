package afs_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/afs"
)

func TestReleaseReachesEverySite(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a", "b"))
	end := r.customers(t)
	before := r.created(t)
	out, err := r.publish(t, r.options(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Changed || o.Serves != 1 {
			t.Errorf("nothing was new: %+v", o)
		}
	}
	if after := r.created(t); after != before || before == "" {
		t.Errorf("a release without need:\n%s\n%s", before, after)
	}
	for _, packages := range [][]string{{"b", "c"}, {"a", "c"}, {"d"}} {
		r.released(t, r.generation(t, packages...))
	}
	end()
}

// TestSameSecond: a write in the second of the release leaves equal update
// times with different contents.
func TestSameSecond(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	for range 10 {
		r.released(t, r.generation(t, "a"))
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Config) {
		t.Errorf("nothing verified yet: %v", err)
	}
	r.released(t, r.generation(t, "a"))
	o := r.options(t)
	o.Tree = "demo-other"
	if _, err := r.publish(t, o); !errors.Is(err, fault.WrongStorage) {
		t.Errorf("another tree: %v", err)
	}
	o = r.options(t)
	o.Volume = "none.such"
	if _, err := r.publish(t, o); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "starter setup") {
		t.Errorf("a volume that is missing: %v", err)
	}
	o = r.options(t)
	o.Regions[1].Partition = "z"
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region1", 1, "")
	wantOutcome(t, out, "region2", 0, string(fault.Config))
	// The tree moved on, and what it holds was not verified.
	r.generation(t, "b")
	if err := os.Remove(filepath.Join(r.cfg.State, "sealed", "2")); err != nil {
		t.Fatal(err)
	}
	if out, err := r.publish(t, r.options(t)); err != nil {
		t.Fatal(err)
	} else {
		wantOutcome(t, out, "region1", 1, "")
	}
	r.served(t, 1)
	// And a site that is ahead of the tree.
	if err := os.WriteFile(filepath.Join(r.cfg.State, "sealed", "2"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.released(t, 2)
	if err := os.Remove(filepath.Join(r.cfg.State, "sealed", "2")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Stale) {
		t.Errorf("an older generation: %v", err)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.generation(t, "a")
	as := func(principal string) afs.Options {
		o := r.options(t)
		o.Cell = afs.Cell{Name: afslab.Name, Principal: principal, Keytab: afslab.Keytab(principal), Enter: r.enter(t, afslab.Writer)}
		return o
	}
	for principal, want := range map[string]fault.Kind{"nobody": fault.Denied, "missing": fault.Config} {
		out, err := r.publish(t, as(principal))
		if err != nil {
			t.Fatal(err)
		}
		for i := range sites {
			wantOutcome(t, out, fmt.Sprint("region", i+1), 0, string(want))
		}
	}
	if e := r.entry(t); strings.Contains(e, "LOCKED") {
		t.Errorf("a release without rights left a lock:\n%s", e)
	}
	out, err := r.publish(t, as("release"))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region1", 1, "")
	r.served(t, 1)
}

// TestForeignLock: somebody else works on the volume. That is refused and named, and never stolen.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	r.generation(t, "b")
	r.vos(t, "lock", "-id", r.volume.Name, "-localauth")
	for range 2 {
		_, err := r.publish(t, r.options(t))
		if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "vos unlock "+r.volume.Name) {
			t.Errorf("a lock of somebody else: %v", err)
		}
	}
	if !strings.Contains(r.entry(t), "LOCKED") {
		t.Error("the lock was stolen")
	}
	r.vos(t, "unlock", "-id", r.volume.Name, "-localauth")
	r.released(t, 2)
}

// TestDeletionsRide: nothing is deleted before every site has served what
// dropped it for the grace, deleting alone releases nothing, and the next
// release carries it out, or one of its own when that takes too long.
func TestDeletionsRide(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	o := r.options(t)
	o.Purge = 7 * 24 * time.Hour
	r.released(t, r.generation(t, "a", "b"))
	r.confirm(t, o, 1)
	n := r.generation(t, "b")
	r.released(t, n)
	if due, why := r.due(t, o, n); due || !strings.Contains(why, "has served generation 2 for 0s") {
		t.Errorf("due at once: %v %q", due, why)
	}
	r.confirm(t, o, n)
	r.pass(90 * time.Minute)
	r.confirm(t, o, n)
	if got := r.tend(t, o); got.Objects != 0 {
		t.Errorf("deleted within the grace: %+v", got)
	}
	r.pass(40 * time.Minute)
	if got := r.tend(t, o); got.Objects != 1 {
		t.Errorf("deleted after the grace: %+v, want one object", got)
	}
	there := func() bool { // in the sites
		_, err := r.cell.On(afslab.Web1, "cat", r.volume.RO+"/pool/a")
		return err == nil
	}
	out, err := r.publish(t, o)
	if err != nil || out[0].Changed || !there() {
		t.Errorf("deleting alone made a release: %+v, %v", out, err)
	}
	r.pass(8 * 24 * time.Hour)
	if _, err = r.publish(t, o); err != nil || there() {
		t.Errorf("a deletion waited for longer than it may: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(r.cfg.State, "memo", "reaped")); err == nil {
		t.Error("it is still noted as waiting")
	}
}

// TestUnnamedSiteCounts: a site that no region names answers clients too.
func TestUnnamedSiteCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	o := r.options(t)
	o.Regions = o.Regions[:2]
	r.released(t, r.generation(t, "a", "b"))
	n := r.generation(t, "b")
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, r.cell.Addr(afslab.FS3)+"-a (not in the spec)", n, "")
	r.confirm(t, o, n)
	r.pass(90 * time.Minute)
	r.confirm(t, o, n)
	if _, err := r.publish(t, o); err != nil { // looks at the site that has no region
		t.Fatal(err)
	}
	r.pass(time.Hour)
	if due, why := r.due(t, o, n); !due {
		t.Errorf("every site has served it for long enough: %s", why)
	}
	// A site that joins holds what the last release gave it, and its wait begins when it was seen.
	r.vos(t, "remsite", "-server", r.cell.Addr(afslab.FS3), "-partition", "a", "-id", r.volume.Name, "-localauth")
	r.vos(t, "addsite", "-server", r.cell.Addr(afslab.FS3), "-partition", "a", "-id", r.volume.Name, "-localauth")
	n = r.generation(t, "c")
	r.released(t, n)
	if due, _ := r.due(t, o, n); due {
		t.Error("due although nobody has confirmed it")
	}
}

// interrupted releases the volume as somebody's cron job would that is killed once the clone is made.
func (r *rig) interrupted(t *testing.T) {
	t.Helper()
	cmd := r.cell.Command(t.Context(), afslab.DB, "vos", "release", r.volume.Name, "-localauth", "-verbose")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "on cloned volume") {
			_ = r.cell.Signal(cmd, 9) // or it has ended by itself
		}
	}
	_ = cmd.Wait()
}

// TestInterruptedRelease: a plain repetition of an interrupted release
// publishes the old clone and exits with 0; that must never count.
func TestInterruptedRelease(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{RWBeside: true})
	r.released(t, r.generation(t, "a"))
	end := r.customers(t)
	for i := 0; !strings.Contains(r.entry(t), "LOCKED"); i++ {
		if i == 20 {
			t.Fatal("no release was met half way")
		}
		r.generation(t, fmt.Sprint("big1.", i), fmt.Sprint("big2.", i), fmt.Sprint("big3.", i))
		r.interrupted(t)
	}
	n := r.generation(t, "c")
	_, err := r.publish(t, r.options(t))
	if !errors.Is(err, fault.Conflict) {
		t.Fatalf("a lock that is not ours: %v", err)
	}
	// A person clears up as the message says.
	for _, s := range append([]string{afslab.FS0}, sites...) {
		for _, line := range strings.Split(r.vos(t, "status", "-server", r.cell.Addr(s), "-noauth"), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "transaction:" {
				_, _ = r.cell.On(afslab.DB, "vos", "endtrans", "-server", r.cell.Addr(s), "-transaction", f[1], "-localauth")
			}
		}
	}
	r.vos(t, "unlock", "-id", r.volume.Name, "-localauth")
	r.held(t, n)
	r.servedAt(t, afslab.Web1, n)
	end()
}
