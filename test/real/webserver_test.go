package real_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
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
