package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long tests wait for what other processes bring about. It
// tells a hang from a busy machine and is no measure of speed.
const Patience = 8 * time.Minute

// Await waits for what is seen in files only, so that nothing can be waited on.
func Await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for end := time.Now().Add(Patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, Patience)
		}
	}
}

var built = struct {
	sync.Mutex
	dir string
}{}

// Program is the path of starter or worker, built once for all tests of a package.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	built.Lock()
	defer built.Unlock()
	if built.dir == "" {
		dir, err := Scratch()
		if err != nil {
			tb.Fatal(err)
		}
		build := exec.Command("go", "build", "-o", dir+"/", "./starter", "./worker")
		build.Dir = Root()
		if out, err := build.CombinedOutput(); err != nil {
			tb.Fatalf("%v: %s", err, out)
		}
		built.dir = dir
	}
	return filepath.Join(built.dir, name)
}

// Environ is this process's environment with bin/ first in PATH, without what
// would lead a program elsewhere.
func Environ(more ...string) []string {
	out := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return slices.ContainsFunc([]string{"TEMPORAL_", "OTEL_", "GITHUB_", "MIRRORCYCLE_", "PATH="}, func(p string) bool { return strings.HasPrefix(e, p) })
	})
	return append(append(out, "PATH="+filepath.Join(Root(), "bin")+":"+os.Getenv("PATH")), more...)
}

// Process is a program that runs beside a test.
type Process struct {
	Cmd   *exec.Cmd
	Ended chan struct{} // closed when it has ended
	tb    testing.TB
	mu    sync.Mutex
	text  bytes.Buffer
	more  chan struct{}
}

// Spawn starts a program, collects what it prints, and kills it when the test
// ends. Without an environment it gets Environ.
func Spawn(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{Cmd: cmd, Ended: make(chan struct{}), tb: tb, more: make(chan struct{}, 1)}
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = 5 * time.Second // a child that outlives it may hold what it prints to
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // ProcessState has how it ended
		close(p.Ended)
	}()
	tb.Cleanup(func() {
		p.End(syscall.SIGKILL)
		if tb.Failed() {
			text := p.String()
			tb.Logf("%s (process %d) printed: %s", filepath.Base(cmd.Path), cmd.Process.Pid, text[max(0, len(text)-8000):])
		}
	})
	return p
}

// Write is for the process to print to.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

// String is what the process has printed.
func (p *Process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Await waits until the process has printed what a regular expression matches,
// and returns the match.
func (p *Process) Await(pattern string) []string {
	p.tb.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(Patience)
	for ended := false; ; {
		if m := re.FindStringSubmatch(p.String()); m != nil {
			return m
		}
		if ended {
			p.tb.Fatalf("%s ended before it printed %q", filepath.Base(p.Cmd.Path), pattern)
		}
		select {
		case <-p.more:
		case <-p.Ended:
			ended = true
		case <-timeout:
			p.tb.Fatalf("%s did not print %q within %v", filepath.Base(p.Cmd.Path), pattern, Patience)
		}
	}
}

// End sends a process that may have ended a signal and waits for its end.
func (p *Process) End(s syscall.Signal) {
	_ = p.Cmd.Process.Signal(s) // it may have ended by itself
	<-p.Ended
}

// Wait waits for a process to end by itself and returns its exit status.
func (p *Process) Wait() int {
	p.tb.Helper()
	select {
	case <-p.Ended:
	case <-time.After(Patience):
		p.tb.Fatalf("%v goes on after %v", p.Cmd.Args, Patience)
	}
	return p.Cmd.ProcessState.ExitCode()
}
