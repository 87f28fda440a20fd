package afslab_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/afslab"
)

func TestMain(m *testing.M) { afslab.Main(m) }

var webs = []string{afslab.Web1, afslab.Web2, afslab.Web3}

// write puts a file into a path of the writer.
func write(t *testing.T, c *afslab.Cell, path, content string) {
	t.Helper()
	cmd := c.Command(t.Context(), afslab.Writer, "tee", path)
	cmd.Stdin, cmd.Stderr = strings.NewReader(content), os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *afslab.Cell, host, path string) string {
	t.Helper()
	out, err := c.On(host, "cat", path)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAReleaseReachesEachRegion(t *testing.T) {
	c := afslab.Up(t)
	for name, o := range map[string]afslab.Options{"elsewhere": {}, "beside": {RWBeside: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := c.Volume(t, o)
			for round := range 3 {
				want := fmt.Sprint("round ", round)
				write(t, c, v.RW+"/f", want)
				if err := v.Release(); err != nil {
					t.Fatal(err)
				}
				for _, host := range append(webs, afslab.Writer) {
					if got := read(t, c, host, v.RO+"/f"); got != want {
						t.Errorf("%s reads %q, not %q", host, got, want)
					}
				}
			}
		})
	}
}

func TestPrincipals(t *testing.T) {
	c := afslab.Up(t)
	v := c.Volume(t, afslab.Options{})
	vos := func(principal string) (string, error) {
		out, err := c.On(afslab.Writer, "env", "KRB5CCNAME=/tmp/cc."+t.Name()+principal, "k5start", "-q", "-t", "-f", afslab.Keytab(principal), principal,
			"--", "vos", "release", v.Name)
		return string(out), err
	}
	if out, err := vos("release"); err != nil {
		t.Errorf("release may not release: %s %v", out, err)
	}
	for _, p := range []string{"mirror", "nobody"} {
		if _, err := vos(p); err == nil || !strings.Contains(err.Error(), "no permission access") {
			t.Errorf("%s may release: %v", p, err)
		}
	}
}

func TestPathsAndPortsCross(t *testing.T) {
	c := afslab.Up(t)
	dir := t.TempDir()
	c.Bind(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("here"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, afslab.Writer, filepath.Join(dir, "f")); got != "here" {
		t.Errorf("the writer reads %q", got)
	}
	l, err := c.Listen(t.Context(), afslab.Web1, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.FileServer(http.Dir(dir))}}
	s.Start()
	defer s.Close()
	conn, err := c.Dial(t.Context(), afslab.Web1, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /f HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "here") {
		t.Errorf("answer %q, %v", answer, err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port of web1 is this machine's too")
	}
}

func TestACommandDiesWithItsProcess(t *testing.T) {
	c := afslab.Up(t)
	for name, end := range map[string]func(*exec.Cmd) error{
		"killed":   func(cmd *exec.Cmd) error { return cmd.Process.Kill() },
		"signaled": func(cmd *exec.Cmd) error { return c.Signal(cmd, syscall.SIGINT) },
	} {
		cmd := c.Command(t.Context(), afslab.Writer, "sh", "-c", "echo started; exec cat /dev/zero >/dev/null")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("started"))); err != nil {
			t.Fatal(err)
		}
		pid, err := c.Pid(cmd)
		if err != nil {
			t.Fatal(err)
		}
		gone, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(gone)
		if err := end(cmd); err != nil {
			t.Fatal(err)
		}
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) { // the runtime signals its threads
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(gone), Events: unix.POLLIN}}, 10_000)
		}
		if n != 1 || err != nil {
			t.Errorf("%s: it runs on: %v", name, err)
		}
		cmd.Wait()
	}
}

func TestTheForwarderCarriesBothWays(t *testing.T) {
	c := afslab.Up(t)
	program := filepath.Join(t.TempDir(), "forward")
	if out, err := exec.Command("go", "build", "-o", program, "mirrorcycle/deploy/afs-cell/forward").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there, err := c.Listen(t.Context(), afslab.Web2, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		to   net.Listener
		dial func(addr string) (net.Conn, error)
		args []string
	}{
		"into the host":   {there, func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }, nil},
		"out of the host": {here, func(addr string) (net.Conn, error) { return c.Dial(t.Context(), afslab.Web2, addr) }, []string{"--inside"}},
	} {
		t.Run(name, func(t *testing.T) {
			go echo(tc.to)
			cmd := exec.CommandContext(t.Context(), program, append(tc.args, "--pid", fmt.Sprint(c.Init(afslab.Web2)), "--listen", "127.0.0.1:0", "--to", tc.to.Addr().String())...)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); tc.to.Close() })
			listen, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tc.dial(strings.TrimSpace(listen))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "through and back")
			conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(conn); err != nil || string(got) != "through and back" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// echo answers one connection with what it says.
func echo(l net.Listener) {
	if conn, err := l.Accept(); err == nil {
		io.Copy(conn, conn)
		conn.Close()
	}
}

func TestCutAndStop(t *testing.T) {
	c := afslab.Up(t)
	c.Cut(t, afslab.FS3)
	if conn, err := c.On(afslab.DB, "vos", "partinfo", c.Addr(afslab.FS2), "-noauth"); err != nil {
		t.Errorf("fs2 is gone too: %s, %v", conn, err)
	}
	c.Heal(t, afslab.FS3)
	c.Stop(t, afslab.FS3)
	if c.Init(afslab.FS3) != 0 {
		t.Error("fs3 runs on")
	}
	c.Start(t, afslab.FS3)
	if out, err := c.On(afslab.DB, "vos", "partinfo", c.Addr(afslab.FS3), "-noauth"); err != nil {
		t.Errorf("fs3 does not serve: %s, %v", out, err)
	}
}

func TestADeadClientIsStartedAnew(t *testing.T) {
	c := afslab.Up(t)
	list := func() error { _, err := c.On(afslab.Web3, "ls", "/afs/"+afslab.Name+"/"); return err }
	if err := list(); err != nil || c.Revive(t, afslab.Web3, err) {
		t.Fatalf("before: %v", err)
	}
	if _, err := c.On(afslab.Web3, "pkill", "-KILL", "-x", "afsd.fuse"); err != nil {
		t.Fatal(err)
	}
	err := list()
	for err == nil { // the kernel notices in a moment
		err = list()
	}
	if !c.Revive(t, afslab.Web3, err) {
		t.Errorf("not seen as dead: %v", err)
	}
	if err := list(); err != nil {
		t.Errorf("after: %v", err)
	}
}
