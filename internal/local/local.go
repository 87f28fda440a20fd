// Package local finds a Temporal server, or starts an embedded one on loopback.
//
// The embedded one is a program of its own (temporal-dev, built from
// devserver): a process that can be ended last, after all workers.
package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
)

// Program is the name of the embedded server's binary.
const Program = "temporal-dev"

// Options say where an embedded server keeps its data and how it listens.
type Options struct {
	Dir        string // for the database and the log
	Port       int    // preferred; another one is taken if it is in use
	Attributes map[string]string
}

// Server is a running embedded server.
type Server struct {
	Address string // host:port for clients
	UI      string // URL of the Web UI
	cmd     *exec.Cmd
	done    chan struct{}
	stop    sync.Once
}

// Find looks for the embedded server's program beside this one, then in PATH;
// temporal, the operator's tool, will do as well.
func Find() (string, error) {
	if self, err := os.Executable(); err == nil {
		if p := filepath.Join(filepath.Dir(self), Program); isProgram(p) {
			return p, nil
		}
	}
	for _, name := range []string{Program, "temporal"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", &fault.Error{Kind: fault.Config, Op: "temporal: find", Subject: Program, Err: errors.New("it is neither beside starter nor in PATH"),
		Advice: "run make bin/" + Program + ", or set TEMPORAL_ADDRESS to a server that runs"}
}

func isProgram(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// Start starts the program and waits until it accepts connections.
func Start(ctx context.Context, program string, o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("temporal: start: %w", err)
	}
	port, err := freePort(o.Port)
	if err != nil {
		return nil, err
	}
	ui, err := freePort(port + 1000)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(o.Dir, "temporal.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("temporal: start: %w", err)
	}
	defer log.Close()
	args := []string{"server", "start-dev", "--ip", "127.0.0.1", "--port", strconv.Itoa(port), "--ui-port", strconv.Itoa(ui),
		"--db-filename", filepath.Join(o.Dir, "temporal-"+version(ctx, program)+".db"), "--log-level", "error"}
	for name, kind := range o.Attributes {
		args = append(args, "--search-attribute", name+"="+kind)
	}
	s := &Server{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), UI: "http://127.0.0.1:" + strconv.Itoa(ui),
		cmd: exec.Command(program, args...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// Its own process group: a Ctrl-C must reach it only after the workers have ended.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go s.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("temporal: start %s: %w", program, err)
	}
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w\n%s", err, tail(log.Name()))
	}
	return s, nil
}

// run holds on to its thread: Pdeathsig is sent when the thread that started the child ends.
func (s *Server) run(started chan<- error) {
	runtime.LockOSThread()
	err := s.cmd.Start()
	started <- err
	if err == nil {
		_ = s.cmd.Wait() // how it ended is in its log
	}
	close(s.done)
}

// version names the server's version, because its database files are not
// migrated from one to the next.
func version(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "version", "--short").Output()
	if v := strings.TrimSpace(string(out)); err == nil && v != "" && !strings.ContainsAny(v, "/ \n") {
		return v
	}
	return "any"
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", s.Address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("temporal: the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("temporal: wait for %s: %w", s.Address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server and waits for it.
func (s *Server) Stop() {
	s.stop.Do(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-s.done:
		case <-time.After(15 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	})
}

// freePort returns prefer if it can be listened on, else a port that the system picks.
func freePort(prefer int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(prefer)))
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return 0, fmt.Errorf("temporal: find a port: %w", err)
		}
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// tail returns the last lines of a log.
func tail(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 4096 {
		if _, err := f.Seek(-4096, io.SeekEnd); err != nil {
			return ""
		}
	}
	var lines []string
	for in := bufio.NewScanner(f); in.Scan(); {
		lines = append(lines, in.Text())
	}
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
