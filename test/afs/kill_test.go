package afs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/afs"
)

// releasing returns the process of the volume's vos release, 0 if there is none.
func (r *rig) releasing() int {
	outer, err := os.ReadFile(r.started())
	if err != nil {
		return 0
	}
	p := strings.TrimSpace(string(outer))
	children, err := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
	if err != nil {
		return 0
	}
	for _, child := range strings.Fields(string(children)) {
		// Before it enters its host, the process has other children.
		if line, err := os.ReadFile("/proc/" + child + "/cmdline"); err == nil && bytes.HasPrefix(line, []byte("vos\x00release\x00"+r.volume.Name+"\x00")) {
			pid, _ := strconv.Atoi(child)
			return pid
		}
	}
	return 0
}

// TestVosKilledAnywhere kills vos 20 times at random moments of a release. The
// next attempt clears up what is provably its own and goes on; no customer
// misses a package meanwhile.
func TestVosKilledAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a", "b"))
	end := r.customers(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	kills, locked, within := 0, 0, 200*time.Millisecond
	for i := 0; kills < 20 || locked == 0; i++ {
		if i == 100 {
			t.Fatalf("%d kills, %d of them left a lock: the moments were badly chosen", kills, locked)
		}
		n := r.generation(t, "a", "big"+strconv.Itoa(i))
		delay := time.Duration(rng.Int64N(int64(within)))
		done := make(chan struct{})
		go func() {
			defer close(done)
			// What it answers depends on the moment; the next attempt shows what counts.
			_, _ = afs.New(r.options(t)).Publish(t.Context(), r.source(t))
		}()
		until(t, "vos runs", func() bool {
			select {
			case <-done:
				return true
			default:
				return r.releasing() != 0
			}
		})
		time.Sleep(delay) // the moment is the experiment
		pid := r.releasing()
		if pid != 0 && syscall.Kill(pid, []syscall.Signal{9, 15, 2, 1}[i%4]) == nil {
			kills++
			if strings.Contains(r.entry(t), "LOCKED") {
				locked++
			}
		} else if delay > time.Millisecond {
			within = delay // it ends sooner on this machine
		}
		<-done
		r.held(t, n)
	}
	end()
}

// crashed runs publish until it reaches a point, where the worker dies. Its vos lives on.
func (r *rig) crashed(t *testing.T, point string) {
	t.Helper()
	o := r.options(t)
	type died struct{}
	o.Crash = func(p string) {
		if p == point {
			panic(died{})
		}
	}
	defer func() {
		if v := recover(); v == nil {
			t.Fatalf("the point %s was not reached", point)
		} else if _, ok := v.(died); !ok {
			panic(v)
		}
	}()
	_, err := r.publish(t, o)
	t.Fatalf("came to an end without %s: %v", point, err)
}

func TestWorkerKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, o := range map[string]afslab.Options{"quick": {}, "slow": {RWBeside: true}} {
		r := newRig(t, o)
		r.held(t, r.generation(t, "a"))
		for _, point := range []string{"ledger", "release/journal", "release/started", "release/ended"} {
			n := r.generation(t, "a", "b")
			r.crashed(t, point)
			r.held(t, n)
		}
		// The worker and its vos die together, as with the power.
		for try := 0; ; try++ {
			n := r.generation(t, "big"+strconv.Itoa(try))
			r.crashed(t, "release/started")
			pid := 0
			for end := time.Now().Add(10 * time.Second); pid == 0 && time.Now().Before(end); {
				pid = r.releasing()
			}
			killed := pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
			r.held(t, n)
			if killed {
				break
			}
			if try == 10 { // a busy machine lets vos end unseen now and then
				t.Fatal("vos was never seen")
			}
		}
	}
}

// TestForeignLockAfterADeath: a run that died before its vos had the lock left
// none, so the one that is there is somebody else's.
func TestForeignLockAfterADeath(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.held(t, r.generation(t, "a"))
	n := r.generation(t, "b")
	refused := func(when string) {
		t.Helper()
		if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", when, err)
		}
		if !strings.Contains(r.entry(t), "LOCKED") {
			t.Errorf("%s: the lock was stolen", when)
		}
	}
	r.crashed(t, "release/journal")
	r.vos(t, "lock", "-id", r.volume.Name, "-localauth")
	refused("vos was never started")
	r.vos(t, "unlock", "-id", r.volume.Name, "-localauth")

	type died struct{}
	o := r.options(t)
	o.Crash = func(p string) {
		switch p {
		case "release/journal":
			r.vos(t, "lock", "-id", r.volume.Name, "-localauth")
		case "release/ended":
			panic(died{})
		}
	}
	func() {
		defer func() { recover() }()
		r.publish(t, o)
	}()
	refused("vos was refused")
	r.vos(t, "unlock", "-id", r.volume.Name, "-localauth")
	r.held(t, n)
}

// TestTakenOverElsewhere: on another host nobody can see whether a vos is alive.
func TestTakenOverElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{RWBeside: true})
	r.held(t, r.generation(t, "a"))
	n := r.generation(t, "b")
	r.crashed(t, "release/started")
	until(t, "vos has the lock", func() bool { return strings.Contains(r.entry(t), "LOCKED") })
	if pid := r.releasing(); pid == 0 || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Fatal("vos is over already")
	}
	r.journal(t, func(j map[string]any) { j["host"] = "elsewhere" })
	if _, err := r.publish(t, r.options(t)); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "may still be going on") {
		t.Errorf("before its deadline: %v", err)
	}
	r.pass(24 * time.Hour)
	r.held(t, n)
}

// journal changes the newest run of the journal.
func (r *rig) journal(t *testing.T, change func(map[string]any)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.cfg.State, "release", "run.*"))
	if err != nil || len(names) == 0 {
		t.Fatal("no run in the journal", err)
	}
	name := names[len(names)-1]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	j := map[string]any{}
	if err := json.Unmarshal(data, &j); err != nil {
		t.Fatal(err)
	}
	change(j)
	if data, err = json.Marshal(j); err == nil {
		err = os.WriteFile(name, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStoppedWorker: a worker that is asked to stop leaves its vos alone, and
// the next one waits for it.
func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{RWBeside: true})
	r.held(t, r.generation(t, "a"))
	n := r.generation(t, "b")
	ctx, cancel := context.WithCancel(t.Context())
	o := r.options(t)
	o.Crash = func(p string) {
		if p == "release/started" {
			cancel()
		}
	}
	if _, err := afs.New(o).Publish(ctx, r.source(t)); !errors.Is(err, context.Canceled) {
		t.Fatalf("a stopped release ended with %v", err)
	}
	until(t, "vos runs on", func() bool { return r.releasing() != 0 })
	var out []backend.Outcome
	var err error
	if out, err = r.publish(t, r.options(t)); err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Serves != n || o.Error != "" {
			t.Errorf("after the wait: %+v", o)
		}
	}
	if r.releasing() != 0 {
		t.Error("vos still runs")
	}
}

// TestCommitWaitsForTheClone: what is cloned is one generation, however long that takes.
func TestCommitWaitsForTheClone(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.held(t, r.generation(t, "a"))
	n := r.generation(t, "b")
	o := r.options(t)
	began, committed := make(chan struct{}), make(chan struct{})
	o.Crash = func(p string) {
		if p != "release/journal" {
			return
		}
		go func() {
			defer close(committed)
			close(began)
			r.generation(t, "c")
		}()
		<-began
		// The commit's intent is there, and it waits.
		until(t, "the commit has begun", func() bool {
			all, _ := filepath.Glob(filepath.Join(r.cfg.State, "intent.*"))
			return len(all) > 0
		})
		if data, err := os.ReadFile(filepath.Join(r.cfg.Dir, "dists/Release")); err != nil || string(data) != "release 2" {
			t.Errorf("the commit went on: %q, %v", data, err)
		}
	}
	out, err := r.publish(t, o)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, out, "region1", n, "")
	<-committed
	r.held(t, n+1)
}
