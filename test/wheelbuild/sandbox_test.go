package wheelbuild_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
)

// TestMain is also the worker that TestADeadWorkerLeavesNothing kills.
func TestMain(m *testing.M) {
	if root := os.Getenv("WHEELBUILD_WORKER_ROOT"); root != "" {
		s, err := sandbox.Open(workerConfig())
		if err == nil {
			_, err = s.Run(context.Background(), sandbox.Command{Root: root, Args: []string{"sh", "-c", "echo started >&3; setsid sleep 4711 & sleep 4711"}, Output: os.Stdout})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func workerConfig() sandbox.Config {
	uid, _ := strconv.Atoi(os.Getenv("WHEELBUILD_WORKER_UID"))
	return sandbox.Config{FirstUID: uid, UIDs: 1, Run: os.Getenv("WHEELBUILD_WORKER_RUN")}
}

// TestADeadWorkerLeavesNothing kills a worker with its command under way, puts a
// process into its cgroup that outlived it, and opens the next sandbox.
func TestADeadWorkerLeavesNothing(t *testing.T) {
	rootlab.NeedSandbox(t)
	const uid = 2_146_000_000
	t.Setenv("WHEELBUILD_WORKER_UID", strconv.Itoa(uid))
	t.Setenv("WHEELBUILD_WORKER_RUN", filepath.Join(t.TempDir(), "locks"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(self)
	worker.Env = append(os.Environ(), "WHEELBUILD_WORKER_ROOT="+rootlab.Root(t, rootlab.Debian12))
	worker.Stderr = os.Stderr
	says, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(says, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/mirrorcycle/" + strconv.Itoa(uid))
	if v2, _ := filepath.Glob("/sys/fs/cgroup/mirrorcycle/" + strconv.Itoa(uid)); len(v2) > 0 {
		groups = v2
	}
	if err != nil || len(groups) == 0 {
		t.Fatal("no cgroup: ", err)
	}
	if s, err := sandbox.Open(workerConfig()); err != nil || len(procsOf(groups)) == 0 {
		t.Errorf("a living worker's command ended: %v, %v", s, err)
	} else if _, err := s.Run(t.Context(), sandbox.Command{Root: rootlab.Root(t, rootlab.Debian12), Args: []string{"true"}}); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("its user was given away: %v", err)
	}
	orphan := exec.Command("sleep", "4711")
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if err := os.WriteFile(filepath.Join(g, "cgroup.procs"), []byte(strconv.Itoa(orphan.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait()
	died := make(chan error, 1)
	go func() { died <- orphan.Wait() }()
	if _, err := sandbox.Open(workerConfig()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-died:
	case <-time.After(lab.Patience):
		t.Error("the orphan lives")
	}
	for _, g := range groups {
		if _, err := os.Stat(g); err == nil {
			t.Errorf("%s is still there, with %v", g, procsOf(groups))
		}
	}
}

func procsOf(groups []string) []string {
	var out []string
	for _, g := range groups {
		data, _ := os.ReadFile(filepath.Join(g, "cgroup.procs"))
		out = append(out, strings.Fields(string(data))...)
	}
	return out
}

func TestCancelLeavesNothing(t *testing.T) {
	s := rootlab.Sandbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	started, w := io.Pipe()
	go func() {
		_, _ = started.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, started)
	}()
	_, err := s.Run(ctx, sandbox.Command{Root: rootlab.Root(t, rootlab.Debian12), Args: []string{"sh", "-c", "setsid sleep 4712 & echo x >&3; sleep 4712"}, Output: w})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if uid := userOf("4712"); uid != "nobody's" {
		t.Errorf("a process of user %s is left", uid)
	}
}

// TestWhatIsMissingIsNamed takes away one thing at a time.
func TestWhatIsMissingIsNamed(t *testing.T) {
	s := rootlab.Sandbox(t)
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for root, says := range map[string]string{
		"/": "tree of its own", "relative": "absolute", "/no/such/root": "debootstrap", closed: "chmod o+x",
	} {
		_, err := s.Run(t.Context(), sandbox.Command{Root: root, Args: []string{"true"}})
		if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), `sandbox = "none"`) {
			t.Errorf("%s: %v", root, err)
		}
	}
	// An empty tree, on an open way: tests' own directories are not.
	bare, err := os.MkdirTemp("/var/tmp", "mirrorcycle-root")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(bare)
	if err := os.Chmod(bare, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = s.Run(t.Context(), sandbox.Command{Root: bare, Args: []string{"true"}})
	if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "bwrap: ") {
		t.Error(err)
	}
	// A command that pretends to be bubblewrap fails as a command.
	out, err := s.Run(t.Context(), sandbox.Command{Root: rootlab.Root(t, rootlab.Debian12), Args: []string{"sh", "-c", "echo bwrap: no >&2; exit 1"}})
	if err != nil || out.Exit != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	t.Setenv("PATH", "/nonexistent")
	if _, err := sandbox.Open(sandbox.Config{}); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "bubblewrap") {
		t.Error(err)
	}
}
