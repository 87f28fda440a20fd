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
	env := []string{"TEMPORAL_ADDRESS=" + h.Address}
	own := filepath.Join(t.TempDir(), "mirrors.toml") // of the worker's host
	cycle := func(flags ...string) string {
		worker := start(t, env, "worker", append([]string{"--roles", "cycle,sync:" + h.Spec.Storage.Name}, flags...)...)
		out, _ := run(t, env, "starter", "run", h.SpecFile())
		worker.End(syscall.SIGTERM)
		return out
	}
	text, err := os.ReadFile(h.SpecFile())
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.ReplaceAll(string(text), u.Keyring, "/usr/share/keyrings/a.gpg"))
	deb := "/debian/pool/main/a/alpha/alpha_1_amd64.deb"
	for _, tt := range []struct {
		name, says string
		flags      []string
	}{
		{"nothing", "--dirs", []string{"--sandbox", "none"}},
		{"no directory", "--dirs", []string{"--dirs", t.TempDir()}},
		{"no keyring", "--files", []string{"--dirs", h.Dir, "--files", "/usr/share/keyrings"}},
		{"no keyring in the worker's own spec", "--files", []string{"--spec", own}},
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
	write(string(text))
	if out := cycle("--spec", own); !strings.Contains(out, "--internal-hosts") {
		t.Errorf("with a spec of its own: %s", out)
	}
	out := cycle("--dirs", h.Dir, "--files", filepath.Dir(u.Keyring), "--internal-hosts", "127.0.0.0/8")
	if inside.Load() == 0 || h.Status("here", deb) != http.StatusOK {
		t.Errorf("with what it needs: %d requests inside\n%s", inside.Load(), out)
	}
}
