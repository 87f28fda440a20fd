// Package local finds a Temporal server, or starts an embedded one on loopback.
//
// The embedded one is a program of its own (temporal-dev, built from
// devserver): a process that can be ended last, after all workers.
package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	port    int
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

// tries is how often a start is repeated that found its ports taken by others in the meantime.
const tries = 5

// errTaken means that somebody else took a port between its choice and its use.
var errTaken = errors.New("temporal: another program took the port")

// Start starts the program and waits until it accepts connections.
func Start(ctx context.Context, program string, o Options) (s *Server, err error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("temporal: start: %w", err)
	}
	for range tries {
		if s, err = start(ctx, program, o); !errors.Is(err, errTaken) {
			break
		}
	}
	return s, err
}

func start(ctx context.Context, program string, o Options) (*Server, error) {
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
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("temporal: start: %w", err)
	}
	args := []string{"server", "start-dev", "--ip", "127.0.0.1", "--port", strconv.Itoa(port), "--ui-port", strconv.Itoa(ui),
		"--db-filename", filepath.Join(o.Dir, "temporal-"+version(ctx, program)+".db"), "--log-level", "error"}
	for name, kind := range o.Attributes {
		args = append(args, "--search-attribute", name+"="+kind)
	}
	s := &Server{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), UI: "http://127.0.0.1:" + strconv.Itoa(ui),
		port: port, cmd: exec.Command(program, args...), done: make(chan struct{})}
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
		text := said(log.Name(), begin)
		if strings.Contains(text, syscall.EADDRINUSE.Error()) {
			err = errTaken
		}
		return nil, fmt.Errorf("%w\n%s", err, text)
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
		// What answers there may be another's server; ours ends then by itself.
		conn, err := d.DialContext(ctx, "tcp", s.Address)
		if err == nil {
			_ = conn.Close()
			if listens(s.cmd.Process.Pid, s.port) {
				return nil
			}
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

// listens reports whether a process of ours is the one that listens on a TCP
// port of this host (proc(5), /proc/net/tcp). Where that cannot be told, it is.
func listens(pid, port int) bool {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	open, err := os.ReadDir(dir)
	if err != nil || len(sockets) == 0 {
		return !errors.Is(err, fs.ErrNotExist)
	}
	for _, fd := range open {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && sockets[to] {
			return true
		}
	}
	return false
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

// maxLog is how much of a log is read when a start has come to nothing, in bytes.
const maxLog = 1 << 20

// said returns the last lines of a log, from a place in it on. Of the server's
// records it keeps the message and the error: a stack says nothing to operators.
func said(name string, from int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	var lines []string
	in := bufio.NewScanner(io.NewSectionReader(f, from, maxLog))
	in.Buffer(nil, maxLog)
	for in.Scan() {
		line := in.Text()
		var record struct{ Msg, Error string }
		if json.Unmarshal(in.Bytes(), &record) == nil && record.Msg != "" {
			line = record.Msg
			if record.Error != "" {
				line += ": " + record.Error
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
