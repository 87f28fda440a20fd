// Package security_test attacks what docs/security.md promises: secrets stay secret, Temporal is reached by TLS, and nothing listens beyond loopback.
//
// Its tests run one after the other: they share a server, and a worker of one
// would take the workflows of another.
package security_test

import (
	"os/exec"
	"testing"

	"mirrorcycle/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// start starts starter or worker.
func start(t *testing.T, env []string, name string, args ...string) *lab.Process {
	t.Helper()
	cmd := exec.Command(lab.Program(t, name), args...)
	cmd.Env, cmd.Dir = lab.Environ(env...), t.TempDir()
	return lab.Spawn(t, cmd)
}

// run waits for a program's end and returns what it printed, and its exit status.
func run(t *testing.T, env []string, name string, args ...string) (string, int) {
	t.Helper()
	p := start(t, env, name, args...)
	code := p.Wait()
	return p.String(), code
}
