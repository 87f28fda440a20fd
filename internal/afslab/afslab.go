// Package afslab gives tests a real OpenAFS cell: deploy/afs-cell, driven from Go.
//
// With AFS_CELL_DIR set, tests join the cell there (and bring it up if it is
// not) and leave it running, so that several packages share one. Without, each
// test process has a cell of its own, which ends with the process whatever
// becomes of it.
package afslab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mirrorcycle/internal/need"
)

// Name is the cell's, as in /afs/mirror.test.
const Name = "mirror.test"

// Hosts of the cell. FS0 holds the RW volumes; Web1 reads only FS1's sites, and so on.
const (
	DB, FS0, FS1, FS2, FS3 = "db1", "fs0", "fs1", "fs2", "fs3"
	Writer                 = "cl1"
	Web1, Web2, Web3       = "web1", "web2", "web3"
)

var addresses = map[string]string{DB: "10.77.0.10", FS0: "10.77.0.11", FS1: "10.77.1.11", FS2: "10.77.2.11", FS3: "10.77.3.11",
	Writer: "10.77.0.20", Web1: "10.77.1.20", Web2: "10.77.2.20", Web3: "10.77.3.20"}

// Keytab is the path, inside the writer, of the keytab of a principal: mirror
// may write, release may run vos, nobody may do neither, admin anything.
func Keytab(principal string) string { return "/etc/keytabs/" + principal + ".keytab" }

// Cell is a running cell.
type Cell struct {
	Dir     string
	program string

	reviving sync.Mutex
}

var shared struct {
	once  sync.Once
	cell  *Cell
	err   error
	guard io.Closer // its end takes the cell down
	wait  func() error
}

// Up returns the cell that all tests of the process share, or skips the test
// where there are neither root's rights nor Debian's OpenAFS packages.
func Up(tb testing.TB) *Cell {
	tb.Helper()
	need.That(tb, os.Geteuid() == 0, "an AFS cell needs root for its namespaces")
	for _, p := range []string{"vos", "k5start", "aklog", "nsenter", "/usr/sbin/bosserver", "/usr/sbin/krb5kdc", "/usr/sbin/afsd.fuse", "cc"} {
		_, err := exec.LookPath(p)
		need.That(tb, err == nil, "no "+p+"; deploy/afs-cell/README.md lists the packages")
	}
	shared.once.Do(func() { shared.cell, shared.err = up() })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cell
}

// Main runs the tests of a package and ends their cell.
func Main(m *testing.M) {
	code := m.Run()
	Down()
	os.Exit(code)
}

// Down ends the cell of this process, if it is its own: for a TestMain that has more to do than Main.
func Down() {
	if shared.guard != nil {
		shared.guard.Close()
		shared.wait()
		shared.guard = nil
	}
}

func up() (*Cell, error) {
	root, err := projectRoot()
	if err != nil {
		return nil, err
	}
	c := &Cell{Dir: os.Getenv("AFS_CELL_DIR"), program: filepath.Join(root, "deploy/afs-cell/cell")}
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "mirrorcycle-afs"); err != nil {
			return nil, err
		}
		if err := c.watch(); err != nil {
			return nil, err
		}
	}
	if _, err := c.cell("up"); err != nil {
		return nil, err
	}
	return c, os.MkdirAll(filepath.Join(c.Dir, "names"), 0o700)
}

// watch starts the guard: the pipe to it closes when this process ends, in whatever way.
func (c *Cell) watch() error {
	guard := c.command(context.Background(), "guard")
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no signal of the terminal ends it first
	w, err := guard.StdinPipe()
	if err != nil {
		return err
	}
	shared.guard, shared.wait = w, guard.Wait
	return guard.Start()
}

func projectRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.Join(errors.New("afslab: find go.mod above the working directory"), err)
}

func (c *Cell) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = append(os.Environ(), "AFS_CELL_DIR="+c.Dir)
	return cmd
}

// cell runs a verb; the error has what it said.
func (c *Cell) cell(args ...string) ([]byte, error) {
	// Output would wait for daemons that a verb leaves behind with its standard error: a file does not.
	log, err := os.CreateTemp("", "afs-cell")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd := c.command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	out, _ := os.ReadFile(log.Name())
	if err != nil {
		return out, fmt.Errorf("cell %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return out, nil
}

// Command prepares a command in a host, as root there, in the directory /.
// Killing it kills the command, not what that left behind; see Signal for
// other signals. Paths of this machine are visible after Bind.
func (c *Cell) Command(ctx context.Context, host string, argv ...string) *exec.Cmd {
	return c.command(ctx, append([]string{"on", host}, argv...)...)
}

// On runs a command in a host and returns its standard output; the error is an
// *exec.ExitError, wrapped with its standard error.
func (c *Cell) On(host string, argv ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := c.Command(context.Background(), host, argv...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", host, strings.Join(argv, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, err
}

// Signal sends a signal to the command that cmd, made by Command, runs in its host.
func (c *Cell) Signal(cmd *exec.Cmd, sig syscall.Signal) error {
	pid, err := c.Pid(cmd)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// Pid is the process of cmd's command as this machine counts it: the child of the process that entered the host.
func (c *Cell) Pid(cmd *exec.Cmd) (int, error) {
	if cmd.Process == nil {
		return 0, errors.New("afslab: find process: not started")
	}
	p := strconv.Itoa(cmd.Process.Pid)
	out, err := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(out)))
}

// Init is the process of a host that holds its namespaces, 0 if it is off.
func (c *Cell) Init(host string) int {
	out, err := os.ReadFile(filepath.Join(c.Dir, "hosts", host, "init.pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(bytes.TrimSpace(out)))
	return pid
}

// Addr is a host's IP address.
func (c *Cell) Addr(host string) string { return addresses[host] }

// Bind makes directories of this machine visible in all hosts, at the same paths.
func (c *Cell) Bind(tb testing.TB, dirs ...string) {
	tb.Helper()
	if _, err := c.cell(slices.Concat([]string{"bind"}, dirs)...); err != nil {
		tb.Fatal(err)
	}
}
