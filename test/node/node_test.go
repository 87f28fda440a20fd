// Package node_test takes worker processes away: killed in mid-fetch and in mid-commit, or stopped and woken up late.
package node_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/service"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// start starts a worker process.
func start(t *testing.T, h *lab.House, env ...string) *lab.Process {
	t.Helper()
	cmd := exec.Command(lab.Program(t, "worker"), "--roles", h.Roles(), "--spec", h.SpecFile())
	cmd.Env = lab.Environ(append(env, "TEMPORAL_ADDRESS="+h.Address)...)
	return lab.Spawn(t, cmd)
}

func packages(n int) []debrepotest.Package {
	var out []debrepotest.Package
	for i := range n {
		out = append(out, lab.Deb(fmt.Sprintf("p%03d", i), "1"))
	}
	return out
}

func result(t *testing.T, run client.WorkflowRun) workflows.MirrorResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
	defer cancel()
	var r workflows.CycleResult
	if err := run.Get(ctx, &r); err != nil {
		t.Fatal(err)
	}
	return r.Mirrors[0]
}

// contents are the digests of what clients could see, without what names the run.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, ".mirror") {
			return err
		}
		data, err := os.ReadFile(p)
		out[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func undisturbed(t *testing.T, u *lab.Upstream) map[string]string {
	t.Helper()
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), NoWork: true})
	w := start(t, h)
	if r := result(t, h.Start()); r.Outcome != workflows.Done {
		t.Fatalf("undisturbed run: %+v", r)
	}
	// It serves the storage of that name, and would deny what is not its own.
	if err := w.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.Ended
	return contents(t, h.Spec.TreeDir("debian"))
}

// gate lets n packages through and makes the others wait until it is opened.
type gate struct {
	mu      sync.Mutex
	left    int
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newGate(u *lab.Upstream, n int) *gate {
	g := &gate{left: n, reached: make(chan struct{}), open: make(chan struct{})}
	u.SetGate(func(path string) {
		if !strings.HasSuffix(path, ".deb") {
			return
		}
		g.mu.Lock()
		g.left--
		left := g.left
		g.mu.Unlock()
		if left < 0 {
			g.once.Do(func() { close(g.reached) })
			<-g.open
		}
	})
	return g
}

func landed(t *testing.T, h *lab.House) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for p := range contents(t, h.Spec.TreeDir("debian")) {
		out["/apt/"+p] = true
	}
	return out
}

// settle waits until the packages that were let through have landed.
func settle(t *testing.T, h *lab.House, n int) map[string]bool {
	t.Helper()
	var got map[string]bool
	lab.Await(t, fmt.Sprintf("%d objects landed", n), func() bool {
		got = landed(t, h)
		return len(got) >= n
	})
	return got
}

func TestKillInMidFetch(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(packages(120)...)
	want := undisturbed(t, u)
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), NoWork: true})
	g := newGate(u, 60)
	w := start(t, h)
	run := h.Start()
	<-g.reached
	done := settle(t, h, 60)
	if err := w.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.Ended
	u.Hits()
	close(g.open)
	start(t, h)
	if r := result(t, run); r.Outcome != workflows.Done {
		t.Fatalf("%+v", r)
	}
	for path, n := range u.Hits() {
		if done[path] {
			t.Errorf("%s was proved already and fetched %d times more", path, n)
		}
	}
	if diff := cmp.Diff(want, contents(t, h.Spec.TreeDir("debian"))); diff != "" {
		t.Errorf("the tree differs from an undisturbed run's: %s", diff)
	}
}

func TestKillInMidCommit(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(packages(30)...)
	want := undisturbed(t, u)
	for _, point := range []string{"commit/prepared:1", "commit/intent:1", "land:35", "served:1"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), NoWork: true})
			run := h.Start()
			w := start(t, h, service.CrashEnv+"="+point)
			select {
			case <-w.Ended:
			case <-time.After(lab.Patience):
				t.Fatal("the worker did not die at its write boundary")
			}
			u.Hits()
			start(t, h)
			if r := result(t, run); r.Outcome != workflows.Done || r.Generation != 1 {
				t.Fatalf("%+v", r)
			}
			for path := range u.Hits() {
				if strings.HasSuffix(path, ".deb") && !strings.HasPrefix(point, "land") {
					t.Errorf("%s was fetched again", path)
				}
			}
			if diff := cmp.Diff(want, contents(t, h.Spec.TreeDir("debian"))); diff != "" {
				t.Errorf("the tree differs from an undisturbed run's: %s", diff)
			}
		})
	}
}

// TestStoppedWorkerWakesUpLate stops a worker for longer than its heartbeat.
// Another finishes; the first one wakes up and must change nothing.
func TestStoppedWorkerWakesUpLate(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(packages(60)...)
	want := undisturbed(t, u)
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), NoWork: true})
	g := newGate(u, 30)
	w := start(t, h)
	run := h.Start()
	<-g.reached
	done := settle(t, h, 30)
	if err := w.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	u.Hits()
	close(g.open)
	start(t, h)
	if r := result(t, run); r.Outcome != workflows.Done {
		t.Fatalf("%+v", r)
	}
	for path := range u.Hits() {
		if done[path] {
			t.Errorf("%s was proved already and fetched again", path)
		}
	}
	if err := w.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// The zombie is through with its shard when the worker has ended in order.
	if err := w.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-w.Ended
	if diff := cmp.Diff(want, contents(t, h.Spec.TreeDir("debian"))); diff != "" {
		t.Errorf("the tree differs from an undisturbed run's: %s", diff)
	}
	if r := h.Cycle(); r.Mirrors[0].Outcome != workflows.Unchanged {
		t.Errorf("the next cycle: %+v", r.Mirrors[0])
	}
}
