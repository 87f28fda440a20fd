package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// contained runs a command under bubblewrap.
func (s *Sandbox) contained(ctx context.Context, c Command) (out Outcome, err error) {
	if err := checkRoot(c.Root); err != nil {
		return out, err
	}
	u, err := s.take()
	if err != nil {
		return out, err
	}
	defer u.release()
	g := s.group(u)
	if err := g.create(c.Limits.Memory+c.Limits.Disk+overhead, c.Limits.Processes); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, g.remove()) }()
	err = inEmptyNetwork(func(l net.Listener) error {
		stop := serve(l, c.Index)
		defer stop()
		p, err := s.process(c, u)
		if err != nil {
			return err
		}
		p.kill = g.kill
		out, err = p.run(ctx)
		g.events(&out)
		if err == nil {
			err = p.began(out)
		}
		return err
	})
	return out, err
}

// The sandbox's file descriptors from 3 on: the command's output, bubblewrap's
// status, the files of /etc, the filter, and then the command's files.
const firstFD = 5

func (s *Sandbox) process(c Command, u *user) (*process, error) {
	p := &process{limits: c.Limits, output: c.Output}
	p.cmd = new(exec.Cmd)
	status, statusW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("sandbox: start: %w", err)
	}
	p.status, p.extra = status, []*os.File{statusW}
	fds, err := p.give(c)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("sandbox: start: %w", err)
	}
	args := s.commandLine(c, u, fds)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return p, nil
}

// given are the file descriptors of what bubblewrap puts into the sandbox.
type given struct {
	etc    []int
	filter int // 0 if there is none
	files  []int
}

// give opens them, in the order of their descriptors.
func (p *process) give(c Command) (g given, err error) {
	next := firstFD
	add := func(f *os.File) int {
		p.extra = append(p.extra, f)
		next++
		return next - 1
	}
	for _, file := range etcFiles {
		r, err := pour(file.text)
		if err != nil {
			return g, err
		}
		g.etc = append(g.etc, add(r))
	}
	f, err := filter()
	if err != nil {
		return g, err
	}
	if f != nil {
		g.filter = add(f)
	}
	for i, f := range c.Files {
		p.lent = append(p.lent, f.Content)
		g.files = append(g.files, next+i)
	}
	return g, nil
}

// began tells a sandbox that could not be made from a command that failed:
// bubblewrap reports the command's exit status only if there was a command.
func (p *process) began(out Outcome) error {
	if bytes.Contains(p.report, []byte(`"exit-code"`)) || out.TimedOut || out.LogLimit || out.OutLimit || out.OOMKills > 0 || out.Exit > 128 {
		return nil
	}
	text := out.Log.Bytes()
	return missing("working sandbox", errors.New(string(bytes.TrimSpace(text[max(0, len(text)-500):]))),
		"bubblewrap 0.8 or newer must be able to make user namespaces")
}

// serve answers a sandbox's requests. A command may open as many connections as
// it likes; 64 at a time are answered.
func serve(l net.Listener, index http.Handler) (stop func()) {
	if index == nil {
		index = http.NotFoundHandler()
	}
	srv := &http.Server{Handler: index, ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	go srv.Serve(netutil.LimitListener(l, 64)) //nolint:errcheck // it ends when it is closed
	return func() { _ = srv.Close() }
}

// process is a command under way.
type process struct {
	cmd         *exec.Cmd
	limits      Limits
	output      io.Writer
	extra, lent []*os.File // given to the command; extra are ours to close
	status      *os.File   // bubblewrap's, may be nil
	report      []byte     // what came from it
	kill        func()     // ends the command and all that it started
}

func (p *process) close() {
	for _, f := range append(p.extra, p.status) {
		if f != nil {
			_ = f.Close()
		}
	}
	p.extra, p.status = nil, nil
}

// run starts the command, ends it at a limit, and collects what it wrote.
func (p *process) run(ctx context.Context) (out Outcome, err error) {
	defer p.close()
	log, logW, err := os.Pipe()
	if err != nil {
		return out, fmt.Errorf("sandbox: start: %w", err)
	}
	defer log.Close()
	result, resultW, err := os.Pipe()
	if err != nil {
		_ = logW.Close()
		return out, fmt.Errorf("sandbox: start: %w", err)
	}
	defer result.Close()
	p.cmd.Stdout, p.cmd.Stderr = logW, logW
	p.cmd.ExtraFiles = append(append([]*os.File{resultW}, p.extra...), p.lent...)
	start := time.Now()
	err = p.cmd.Start()
	_, _ = logW.Close(), resultW.Close()
	for _, f := range p.extra {
		_ = f.Close()
	}
	p.extra = nil
	if err != nil {
		return out, missing("program "+p.cmd.Path, err, "install it")
	}
	err = p.follow(ctx, &out, log, result)
	out.Time = time.Since(start)
	return out, err
}

// follow reads until the command has ended or is ended.
func (p *process) follow(ctx context.Context, out *Outcome, log, result *os.File) error {
	var logOver, outOver atomic.Bool
	over := make(chan struct{}, 2)
	limit := func(flag *atomic.Bool) func() {
		return func() { flag.Store(true); over <- struct{}{} }
	}
	rec := &recorder{limit: p.limits.Log, over: limit(&logOver)}
	var readers sync.WaitGroup
	readers.Go(func() { _, _ = io.Copy(rec, log) })
	var outErr error
	readers.Go(func() { outErr = p.copyOutput(result, limit(&outOver)) })
	if p.status != nil {
		readers.Go(func() { p.report, _ = io.ReadAll(io.LimitReader(p.status, 64<<10)) })
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		timeout := time.NewTimer(p.limits.Timeout)
		defer timeout.Stop()
		select {
		case <-ended:
			return
		case <-ctx.Done():
		case <-over:
		case <-timeout.C:
			out.TimedOut = true
		}
		p.kill()
	})
	_ = p.cmd.Wait() // its state says more
	close(ended)
	watch.Wait()
	p.kill() // what it left running would keep the pipes open
	for _, f := range []*os.File{log, result, p.status} {
		if f != nil {
			_ = f.SetReadDeadline(time.Now().Add(5 * time.Second)) // in mode None something may have escaped
		}
	}
	readers.Wait()
	out.Log, out.LogLimit, out.OutLimit = rec.log(), logOver.Load(), outOver.Load()
	out.Exit = exitStatus(p.cmd.ProcessState)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sandbox: run: %w", err)
	}
	return outErr
}

// copyOutput hands on what comes from the command, up to the limit.
func (p *process) copyOutput(from *os.File, over func()) error {
	to := p.output
	if to == nil {
		to = io.Discard
	}
	n, err := io.Copy(to, io.LimitReader(from, p.limits.Output+1))
	if n > p.limits.Output {
		over()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	if err != nil {
		over() // nobody reads on
		return fmt.Errorf("sandbox: keep the command's output: %w", err)
	}
	return nil
}

func exitStatus(s *os.ProcessState) int {
	if s == nil {
		return -1
	}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
