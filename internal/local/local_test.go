package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain makes the test's own binary a server that listens, for fakes.
func TestMain(m *testing.M) {
	if address := os.Getenv("LOCAL_LISTEN"); address != "" {
		if _, err := net.Listen("tcp", address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

// fake writes a program that does what script says of its port, $port, the
// first time, and listens there from the second time on.
func fake(t *testing.T, dir, script string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "temporal")
	text := fmt.Sprintf(`#!/bin/sh
[ "$1" = version ] && exit
while [ $# -gt 0 ]; do [ "$1" = --port ] && port=$2; shift; done
cd %q
if [ ! -e begun ]; then
 touch begun
 %s
fi
LOCAL_LISTEN=127.0.0.1:$port exec %q
`, dir, script, self)
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// inUse ends as the server does: its last record has a long stack.
const inUse = `
echo '{"level":"fatal","msg":"Failed to start gRPC listener","error":"listen tcp 127.0.0.1:1: bind: address already in use","stacktrace":"'$(seq 3000)'"}'
exit 1`

// TestPortTaken: somebody else may take a port between its choice and its use.
func TestPortTaken(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), fake(t, dir, inUse), Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if !listens(s.cmd.Process.Pid, s.port) || listens(os.Getpid(), s.port) {
		t.Errorf("%s is not the server's", s.Address)
	}
}

// TestAnotherAnswers: a server that answers where ours was to listen is not ours.
func TestAnotherAnswers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"asked", "answered"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var other net.Listener
	answered := make(chan error, 1)
	go func() {
		port, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err == nil {
			other, err = net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
		}
		if err == nil {
			_, err = other.Accept()
		}
		answered <- errors.Join(err, os.WriteFile(filepath.Join(dir, "answered"), []byte("yes\n"), 0o600))
	}()
	s, err := Start(t.Context(), fake(t, dir, "echo $port >asked; read yes <answered; "+inUse), Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if s.Address == other.Addr().String() {
		t.Errorf("%s is somebody else's", s.Address)
	}
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), fake(t, dir, "echo no such flag; exit 1"), Options{Dir: filepath.Join(dir, "data")})
	if err == nil || !strings.Contains(err.Error(), "ended at once") || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("%v: want what it said", err)
	}
	if err := os.Remove(filepath.Join(dir, "begun")); err != nil {
		t.Fatal(err)
	}
	again := strings.Replace(inUse, "exit 1", "rm begun; exit 1", 1)
	_, err = Start(t.Context(), fake(t, dir, again), Options{Dir: filepath.Join(dir, "data")})
	if err == nil || !strings.Contains(err.Error(), "took the port") || !strings.HasSuffix(err.Error(), "listener: listen tcp 127.0.0.1:1: bind: address already in use") {
		t.Errorf("%v: want it given up", err)
	}
}
