// Package security_test attacks what docs/security.md promises: secrets stay secret, Temporal is reached by TLS, and nothing listens beyond loopback.
//
// Its tests run one after the other: they share a server, and a worker of one
// would take the workflows of another.
package security_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// programs builds starter and worker, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := lab.Scratch()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+"/", "./starter", "./worker")
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return "", err
	}
	return dir, nil
})

// process is a program of ours and what it prints.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex
	text  bytes.Buffer
	more  chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// await waits until the process prints a text, or ends.
func (p *process) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for !strings.Contains(p.String(), text) {
		select {
		case <-p.more:
		case <-p.ended:
			if !strings.Contains(p.String(), text) {
				t.Fatalf("it ended before it printed %q:\n%s", text, p)
			}
		case <-timeout:
			t.Fatalf("%q was not printed:\n%s", text, p)
		}
	}
}

// stop asks the process to end and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	<-p.ended
}

// environ is this process's environment, without what would lead a program elsewhere.
func environ(more ...string) []string {
	var out []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "TEMPORAL_") && !strings.HasPrefix(name, "OTEL_") && !strings.HasPrefix(name, "GITHUB_") && name != "PATH" {
			out = append(out, e)
		}
	}
	return append(append(out, "PATH="+filepath.Join(lab.Root(), "bin")+":"+os.Getenv("PATH")), more...)
}

// start starts starter or worker.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(filepath.Join(dir, name), args...), ended: make(chan struct{}), more: make(chan struct{}, 1)}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = environ(env...), t.TempDir(), p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has how it ended
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// run waits for a program's end and returns what it printed, and its exit status.
func run(t *testing.T, env []string, name string, args ...string) (string, int) {
	t.Helper()
	p := start(t, env, name, args...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		t.Fatalf("%s %v goes on:\n%s", name, args, p)
	}
	return p.String(), p.cmd.ProcessState.ExitCode()
}
