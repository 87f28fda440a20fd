package cycle_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/local"
)

// command is one of starter's, with an environment of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	_, err := os.Stat(filepath.Join(lab.Root(), "bin", local.Program))
	_, inPath := exec.LookPath("temporal")
	lab.Need(t, "no Temporal server: make bin/temporal-dev", err == nil || inPath == nil)
	cmd := exec.Command(lab.Program(t, "starter"), args...)
	cmd.Env = lab.Environ()
	return cmd
}

// TestUp is what a newcomer does: everything on one machine, watched until the
// delayed purge, ended with Ctrl-C, and gone on with.
func TestUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := command(t, "up", "--demo", "--dir", dir, "--demo-step", "1s")
	cmd.Dir = dir
	up := lab.Spawn(t, cmd)
	url := up.Await(`(http://127\.0\.0\.1:\d+) +region here`)[1]
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
	address := up.Await(`Temporal at (\S+),`)[1]
	scripts(t, dir, address)
	up.Await(`generation 2`)
	if up.End(syscall.SIGINT); up.Wait() != 0 {
		t.Errorf("Ctrl-C: exit status %d\n%s", up.Wait(), up)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("a region is still served after the end")
	}
	cmd = command(t, "up", "--demo", "--once", "--dir", dir)
	cmd.Dir = dir
	again := lab.Spawn(t, cmd)
	if m := again.Await(`debian: \w+, generation (\d+)`); m[1] == "1" || again.Wait() != 0 {
		t.Errorf("the next up began anew, or failed:\n%s", again)
	}
}

// TestUpsAtOnce: those that begin at the same moment do not take each other's
// ports, or speak to each other's Temporal.
func TestUpsAtOnce(t *testing.T) {
	t.Parallel()
	var all []*lab.Process
	for range 3 {
		dir := t.TempDir()
		cmd := command(t, "up", "--demo", "--once", "--dir", dir)
		cmd.Dir = dir
		all = append(all, lab.Spawn(t, cmd))
	}
	seen := map[string]bool{}
	for _, up := range all {
		temporal := up.Await(`Temporal at (\S+),`)[1]
		up.Await(`debian: done, generation 1`)
		if up.Wait() != 0 || seen[temporal] {
			t.Errorf("exit status %d, Temporal at %s:\n%s", up.Wait(), temporal, up)
		}
		seen[temporal] = true
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
		{"approve debian 0000", `digest|running|debian: unchanged`, -1}, // upstream may have nothing new just then
		{"why elsewhere/x", `is no URL of a region`, 2},
	} {
		cmd := command(t, strings.Fields(c.args)...)
		cmd.Env = append(cmd.Env, "TEMPORAL_ADDRESS="+address, "MIRRORCYCLE_SPEC="+spec)
		o := lab.Spawn(t, cmd)
		if code := o.Wait(); c.code >= 0 && code != c.code {
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
