package sandbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// plain runs a command without a sandbox: in the root by chroot, as the worker's
// own user, with the limits of time and output only.
func (s *Sandbox) plain(ctx context.Context, c Command) (out Outcome, err error) {
	root := strings.TrimRight(c.Root, "/")
	tmp, err := os.MkdirTemp(filepath.Join(root, "/tmp"), "mirrorcycle-build-")
	if err != nil {
		return out, missing("private directory", err, "make the root's /tmp writable")
	}
	defer os.RemoveAll(tmp)
	inside := strings.TrimPrefix(tmp, root)
	home := filepath.Join(tmp, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return out, fmt.Errorf("sandbox: make home: %w", err)
	}
	for _, f := range c.Files {
		if err := copyFile(filepath.Join(tmp, f.Name), f.Content); err != nil {
			return out, fmt.Errorf("sandbox: put %s into place: %w", f.Name, err)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return out, fmt.Errorf("sandbox: listen: %w", err)
	}
	stop := serve(l, c.Index)
	defer stop()
	env := environment(c, "http://"+l.Addr().String(), inside, inside+"/home")
	path, err := lookIn(root, c.Args[0], env[0])
	if err != nil {
		return out, missing("program "+c.Args[0], err, "install it in the root")
	}
	cmd := &exec.Cmd{Path: path, Args: c.Args, Env: env, Dir: inside, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if root != "" {
		cmd.SysProcAttr.Chroot = root
	}
	p := &process{cmd: cmd, limits: c.Limits, output: c.Output}
	p.kill = func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	return p.run(ctx)
}

// lookIn finds a program along PATH as seen from inside the root.
func lookIn(root, name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(strings.TrimPrefix(path, "PATH="), ":") {
		if st, err := os.Lstat(filepath.Join(root, dir, name)); err == nil && !st.IsDir() {
			return filepath.Join(dir, name), nil
		}
	}
	return "", exec.ErrNotFound
}

func copyFile(name string, from *os.File) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	to, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	return err
}
