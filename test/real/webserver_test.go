package real_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	dirbackend "mirrorcycle/internal/release/dir"
)

// TestWebServers has real clients install through nginx and Apache, with the
// configurations that operators get in deploy/.
func TestWebServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	dir := filepath.Join(w.h.Dir, "regions", "here")
	// Their processes run as another user.
	for d := w.h.Dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	for name, start := range map[string]func(testing.TB, string) string{"nginx": lab.Nginx, "apache2": lab.Apache} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t, dir)
			for _, c := range answers {
				t.Run(c.name, func(t *testing.T) { c.ask(t, url) })
			}
			client := newApt(t, w.arch, url+"/debian", w.u.Keyring)
			must(t, client.update())
			if files, err := client.install(strings.Fields(packages)...); err != nil || len(files) < 20 {
				t.Errorf("apt-get got %d packages: %v", len(files), err)
			}
			for _, i := range newInstallers(t, w.in) {
				must(t, i.gets(url+"/pypi/simple/", []string{changedProject}, []string{changedProject}))
				fails(t, "a project that the region lacks", foreignProject, i.gets(url+"/pypi/simple/", []string{foreignProject}, nil))
			}
		})
	}
}

// TestDiskIsNotMounted: where the region's directory is empty, or not there, or
// still being filled, the web servers have no answer, instead of telling that
// packages are gone.
func TestDiskIsNotMounted(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, string) string{"nginx": lab.Nginx, "apache2": lab.Apache} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := t.TempDir()
			for d := above; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
				must(t, os.Chmod(d, 0o755))
			}
			disk, dir := filepath.Join(above, "disk"), filepath.Join(above, "dir")
			must(t, dirbackend.Setup(disk, "here", "debian", "empty"))
			must(t, os.MkdirAll(filepath.Join(disk, "debian/pool"), 0o755), os.MkdirAll(filepath.Join(disk, "pypi"), 0o755),
				os.MkdirAll(filepath.Join(disk, ".releases/pypi/4"), 0o755))
			must(t, os.WriteFile(filepath.Join(disk, "debian/pool/a.deb"), nil, 0o644))
			url := start(t, dir)
			asks := func(when string, want map[string]int) {
				t.Helper()
				for path, status := range want {
					answer{name: path, path: path, status: status}.ask(t, url)
				}
				if t.Failed() {
					t.Fatal("that was where ", when)
				}
			}
			there := map[string]int{"/debian/pool/a.deb": 200, "/debian/pool/b.deb": 404, "/debian/dists/x/InRelease": 404, "/pypi/simple/none/": 404,
				"/wheels/d12/simple/none/": 404, "/other/d12/simple/none/": 404, "/other/x": 404, "/x": 404, "/empty/": 503, "/empty/dists/x/InRelease": 503, "/empty/simple/x/": 503,
				"/empty/d12/simple/x/": 503, "/.releases/empty/4/simple/x/": 503, "/.mirrorcycle/x": 404, "/.mirrorcycle/empty/x": 404}
			away := map[string]int{"/debian/pool/a.deb": 503, "/debian/dists/x/InRelease": 503, "/pypi/simple/none/": 503, "/pypi/simple/": 503,
				"/wheels/d12/simple/none/": 503, "/.releases/pypi/4/simple/": 503}
			asks("nothing is", away)
			must(t, os.Mkdir(dir, 0o755))
			asks("nothing is mounted", away)
			must(t, os.Remove(dir), os.Rename(disk, dir))
			asks("the disk is mounted", there)
		})
	}
}

// answer is what a region's web server has to say to a request.
type answer struct {
	name, path, accept string
	status             int
	kind, cache        string // Content-Type, Cache-Control
	vary               bool
}

const (
	v1json = "application/vnd.pypi.simple.v1+json"
	v1html = "application/vnd.pypi.simple.v1+html"
	pips   = v1json + ", " + v1html + "; q=0.1, text/html; q=0.01"
	index  = "max-age=600"
	never  = "max-age=365000000, immutable"
)

var answers = []answer{
	{"a page for pip", "/pypi/simple/" + changedProject + "/", pips, 200, v1json, index, true},
	{"a page as HTML 1", "/pypi/simple/" + changedProject + "/", v1html, 200, v1html, index, true},
	{"a page for a browser", "/pypi/simple/" + changedProject + "/", "text/html,application/xhtml+xml,*/*;q=0.8", 200, "text/html", index, true},
	{"a page for whatever", "/pypi/simple/" + changedProject + "/", "*/*", 200, "text/html", index, true},
	{"the root", "/pypi/simple/", pips, 200, v1json, index, true},
	{"a project that is not there", "/pypi/simple/nothing-of-this/", pips, 404, "", "", false},
	{"a Release", "/debian/dists/stable/InRelease", "", 200, "", index, false},
	{"the generation", "/pypi/.mirror/generation.json", "", 200, "application/json", "no-store", false},
	{"an identity", "/.mirrorcycle/id", "", 404, "", "", false},
	{"a record", "/.mirrorcycle/pypi/log", "", 404, "", "", false},
	{"a directory", "/debian/dists/", "", 0, "", "", false},
}

func (c answer) ask(t *testing.T, url string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+c.path, nil)
	must(t, err)
	if c.accept != "" {
		req.Header.Set("Accept", c.accept)
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	res.Body.Close()
	h := res.Header
	if later := h.Get("Retry-After") != ""; later != (res.StatusCode == http.StatusServiceUnavailable) {
		t.Errorf("%s with Retry-After %q", res.Status, h.Get("Retry-After"))
	}
	switch {
	case c.status == 0: // any refusal: contents of directories are nobody's business
		if res.StatusCode < 400 {
			t.Error(res.Status)
		}
	case res.StatusCode != c.status:
		t.Errorf("%s, want %d", res.Status, c.status)
	case c.kind != "" && strings.TrimSuffix(h.Get("Content-Type"), "; charset=utf-8") != c.kind:
		t.Errorf("Content-Type %q, want %q", h.Get("Content-Type"), c.kind)
	case c.cache != "" && h.Get("Cache-Control") != c.cache:
		t.Errorf("Cache-Control %q, want %q", h.Get("Cache-Control"), c.cache)
	case c.vary && !strings.Contains(strings.ToLower(strings.Join(h.Values("Vary"), ",")), "accept"):
		t.Errorf("Vary %q", h.Values("Vary"))
	}
}
