// Package deploy_test runs what deploy/ has for operators.
package deploy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
)

// programs builds what prodlike wants in its BIN.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := func(dir string, args ...string) {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o"}, args...)...)
		cmd.Dir = filepath.Join(lab.Root(), dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	build(".", bin+"/", "./starter", "./worker")
	for name, pkg := range map[string]string{"temporal-server": "go.temporal.io/server/cmd/server", "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
		"temporal-ui": "github.com/temporalio/ui-server/v2/cmd/server"} {
		build("devserver", filepath.Join(bin, name), pkg)
	}
	return bin
}

// services are those of deploy/prodlike.
type services struct {
	t    *testing.T
	bin  string
	data string
	env  []string
	cmd  *exec.Cmd
}

// start brings the services up and reads what to set for the commands.
func (s *services) start(ports int) {
	s.t.Helper()
	s.cmd = exec.Command(filepath.Join(lab.Root(), "deploy/prodlike/run"), s.bin, s.data)
	s.cmd.Env = append(os.Environ(), "PORTS="+strconv.Itoa(ports))
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.stop() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if set, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			s.env = append(os.Environ(), strings.Fields(set)...)
		}
		if lines.Text() == "ready" {
			go io.Copy(io.Discard, out)
			return
		}
	}
	s.t.Fatal("the services did not start")
}

func (s *services) stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait() // it is ended by the signal
	}
}

func (s *services) starter(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.bin, "starter"), args...)
	cmd.Env = s.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("starter %s: %v: %s%s", strings.Join(args, " "), err, stderr.String(), out)
	}
	return string(out)
}

func (s *services) pid(name string) int {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.data, "run", name+".pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// generation asks a region's web server what it serves.
func generation(t *testing.T, port int, mirror string) int64 {
	t.Helper()
	res, err := http.Get("http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/" + mirror + "/.mirror/generation.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var g struct{ Number int64 }
	if err := json.NewDecoder(res.Body).Decode(&g); err != nil {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return g.Number
}

// TestProdlike runs cycles on PostgreSQL, Temporal's own server, three workers
// and nginx; all of them but the regions are killed in between, and the whole
// is stopped and started.
func TestProdlike(t *testing.T) {
	for _, p := range []string{"/usr/sbin/nginx", "prometheus"} {
		_, err := exec.LookPath(p)
		lab.Need(t, p+" is not installed", err == nil)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	lab.Need(t, "PostgreSQL's server is not installed", len(found) > 0)
	const ports = 27000
	s := &services{t: t, bin: programs(t)}
	var err error
	if s.data, err = os.MkdirTemp("", "mirrorcycle-prodlike"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.data) })
	if err := os.Chmod(s.data, 0o755); err != nil { // PostgreSQL runs as another user
		t.Fatal(err)
	}
	s.start(ports)
	s.starter("run")
	before := generation(t, ports+81, "debian")
	for _, name := range []string{"postgres", "temporal", "worker-cycle", "worker-main", "worker-ord"} {
		if err := syscall.Kill(s.pid(name), syscall.SIGKILL); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// The demo publishes something every 20 s: sooner or later a cycle takes it over.
	for end := time.Now().Add(3 * time.Minute); generation(t, ports+81, "debian") == before; {
		if time.Now().After(end) {
			t.Fatal("no cycle came to its end after the services were killed")
		}
		out, err := s.try("run")
		t.Logf("run: %v: %s", err, out)
	}
	if dfw, ord := generation(t, ports+81, "debian"), generation(t, ports+82, "debian"); ord < dfw-1 || ord <= before {
		t.Errorf("dfw serves %d, ord %d, before %d", dfw, ord, before)
	}
	pids := map[string]int{}
	for _, name := range []string{"postgres", "temporal", "ui", "worker-main", "nginx", "prometheus", "demo", "origin"} {
		pids[name] = s.pid(name)
	}
	s.stop()
	for name, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("%s runs on", name)
		}
	}
	s.start(ports)
	s.starter("run")
	if schedules := s.starter("schedule", "list"); !strings.Contains(schedules, "prodlike") {
		t.Errorf("the schedule is gone:\n%s", schedules)
	}
}

// try runs a command that may fail while services come back.
func (s *services) try(args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.bin, "starter"), args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
