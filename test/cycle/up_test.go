package cycle_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/local"
)

// starter builds the command once.
var starter = sync.OnceValues(func() (string, error) {
	dir, err := lab.Scratch()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "starter")
	build := exec.Command("go", "build", "-o", program, "./starter")
	build.Dir = lab.Root()
	out, err := build.CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return program, err
})

// output collects what a process prints and waits for lines of it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(time.Minute)
	for {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m
		}
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("%s was not printed:\n%s", pattern, o)
		}
	}
}

func command(t *testing.T, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	program, err := starter()
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(lab.Root(), "bin", local.Program))
	_, inPath := exec.LookPath("temporal")
	lab.Need(t, "no Temporal server: make bin/temporal-dev", err == nil || inPath == nil)
	cmd := exec.Command(program, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TEMPORAL_") && !strings.HasPrefix(e, "PATH=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(lab.Root(), "bin")+":"+os.Getenv("PATH"))
	o := &output{more: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = o, o
	return cmd, o
}

// TestUp is what a newcomer does: everything on one machine, watched until the
// delayed purge, ended with Ctrl-C, and gone on with.
func TestUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, o := command(t, "up", "--demo", "--dir", dir, "--demo-step", "1s")
	up.Dir = dir
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	t.Cleanup(func() { _ = up.Process.Kill() })
	url := o.await(t, `(http://127\.0\.0\.1:\d+) +region here`)[1]
	for path, want := range map[string]int{"/debian/dists/demo/InRelease": 200, "/pypi/simple/": 200, "/pypi/.mirror/id": 404, "/.mirrorcycle/id": 404, "/": 200} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	address := o.await(t, `Temporal at (\S+),`)[1]
	scripts(t, dir, address)
	o.await(t, `generation 2`)
	if err := up.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Ctrl-C: %v\n%s", err, o)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("Ctrl-C did not end it:\n%s", o)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("a region is still served after the end")
	}
	again, o := command(t, "up", "--demo", "--once", "--dir", dir)
	again.Dir = dir
	if err := again.Run(); err != nil {
		t.Fatalf("%v\n%s", err, o)
	}
	if m := o.await(t, `debian: \w+, generation (\d+)`); m[1] == "1" {
		t.Errorf("the next up began anew:\n%s", o)
	}
}

// scripts runs the other commands against the running server, as scripts do.
func scripts(t *testing.T, dir, address string) {
	t.Helper()
	spec := filepath.Join(dir, "mirrors.toml")
	for _, c := range []struct {
		args string
		want string
		code int
	}{
		{"status --json", `"mirror": "debian"`, -1},
		{"status", `debian +apt +[1-9]`, -1},
		{"releases pypi", `GENERATION`, 0},
		{"why debian/dists/demo/InRelease", `index of \d+ bytes, SHA-256 [0-9a-f]{64}; named`, 0},
		{"why debian/pool/nothing.deb", `no kept generation names it`, 0},
		{"verify debian --deep", `debian: generation \d+: .* 0 problems`, 0},
		{"hold pypi --reason because", `pypi is on hold: because`, 0},
		{"status ", `on hold: because`, 3},
		{"resume pypi", `pypi goes on`, 0},
		{"rollback debian 999", `rolled? back|wrong|gone|999`, 1},
		{"approve debian 0000", `digest|running`, 1},
		{"why elsewhere/x", `is no URL of a region`, 2},
	} {
		cmd, o := command(t, strings.Fields(c.args)...)
		cmd.Env = append(cmd.Env, "TEMPORAL_ADDRESS="+address, "MIRRORCYCLE_SPEC="+spec)
		_ = cmd.Run() // the status is what is looked at
		if code := cmd.ProcessState.ExitCode(); c.code >= 0 && code != c.code {
			t.Errorf("starter %s: exit status %d, want %d\n%s", c.args, code, c.code, o)
		}
		if !regexp.MustCompile(c.want).MatchString(o.String()) {
			t.Errorf("starter %s: no %q in\n%s", c.args, c.want, o)
		}
		if strings.Contains(c.args, "--json") {
			var v map[string]any
			if err := json.Unmarshal([]byte(o.String()), &v); err != nil || v["version"] != float64(1) {
				t.Errorf("starter %s: %v\n%s", c.args, err, o)
			}
		}
	}
}
