package security_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
)

// TestWorkerDoesOnlyWhatItIsAllowed: the spec of a cycle names directories, files
// and hosts; the worker's own flags say which of them it touches.
func TestWorkerDoesOnlyWhatItIsAllowed(t *testing.T) {
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	var inside atomic.Int64
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		u.ServeHTTP(w, r)
	}))
	t.Cleanup(behind.Close)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/pool/") {
			http.Redirect(w, r, behind.URL+r.URL.Path, http.StatusFound)
			return
		}
		u.ServeHTTP(w, r)
	}))
	t.Cleanup(outside.Close)
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: strings.ReplaceAll(u.AptMirror("debian", "1h"), u.URL, outside.URL), NoWork: true})
	env := []string{"TEMPORAL_ADDRESS=" + h.Address, "MIRRORCYCLE_SPEC=" + filepath.Join(h.Dir, "mirrors.toml")}
	cycle := func(flags ...string) string {
		worker := start(t, env, "worker", append([]string{"--roles", "cycle,sync:" + h.Spec.Storage.Name}, flags...)...)
		out, _ := run(t, env, "starter", "run")
		worker.End(syscall.SIGTERM)
		return out
	}
	deb := "/debian/pool/main/a/alpha/alpha_1_amd64.deb"
	for _, tt := range []struct {
		name, says string
		flags      []string
	}{
		{"no directory", "--dirs", []string{"--dirs", t.TempDir()}},
		{"no keyring", "--files", []string{"--dirs", h.Dir, "--files", "/usr/share/keyrings"}},
		{"no host inside", "--internal-hosts " + strings.TrimPrefix(behind.URL, "http://"), []string{"--dirs", h.Dir, "--files", filepath.Dir(u.Keyring)}},
	} {
		out := cycle(tt.flags...)
		if !strings.Contains(out, "denied") || !strings.Contains(out, tt.says) || inside.Load() > 0 || h.Status("here", deb) == http.StatusOK {
			t.Errorf("%s: %d requests inside\n%s", tt.name, inside.Load(), out)
		}
		if _, err := os.Stat(filepath.Join(h.Dir, "trees", "debian", "pool")); err == nil {
			t.Errorf("%s: the tree was written to", tt.name)
		}
	}
	out := cycle("--dirs", h.Dir, "--files", filepath.Dir(u.Keyring), "--internal-hosts", "127.0.0.0/8")
	if inside.Load() == 0 || h.Status("here", deb) != http.StatusOK {
		t.Errorf("with what it needs: %d requests inside\n%s", inside.Load(), out)
	}
}
