package real_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	dirbackend "mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/serve"
)

// secret is the content of what nobody may read.
const secret = "not for clients"

// served are files of a region, and what they are to clients: their type and how
// long caches keep them.
var served = map[string][2]string{
	"debian/pool/a_1_amd64.deb":                 {"application/vnd.debian.binary-package", never},
	"debian/pool/evil.html":                     {"application/octet-stream", index},
	"debian/packages/Packages":                  {"", index},
	"debian/pool/Packages.gz":                   {"", index},
	"debian/dists/s/dep11/icons-64.tar.gz":      {"", index},
	"debian/dists/s/by-hash/SHA256/00ff":        {"application/octet-stream", never},
	"pypi/packages/aa/bb/cc/evil-1.html":        {"application/octet-stream", never},
	"pypi/packages/aa/bb/cc/a-1.tar.gz":         {"", never},
	".releases/pypi/4/packages/aa/bb/cc/e.html": {"application/octet-stream", never},
	"pypi/.mirror/generation.json":              {"application/json", "no-store"},
	".releases/pypi/4/.mirror/generation.json":  {"application/json", "no-store"},
}

// hidden are files that are in a region, or that its links lead to, and are nobody's.
var hidden = []string{".mirrorcycle/pypi/log", ".secret", "pypi/.mirror/id", "pypi/simple/.x", "pypi/.releases/x", ".releases/pypi/4/.mirror/id", ".releases/pypi/4/.x/y",
	".releases/pypi/4/simple/.x", ".releases/pypi/.x", "pypi/x/.mirror/generation.json", "debian/pool/link.deb", "pypi/simple/link", ".releases/pypi/4/link"}

// TestWebServersShowOnlyTheRegion asks nginx, Apache and serve for all of it.
func TestWebServersShowOnlyTheRegion(t *testing.T) {
	t.Parallel()
	dir, outside := filepath.Join(t.TempDir(), "region"), filepath.Join(t.TempDir(), "outside")
	must(t, dirbackend.Setup(dir, "here"), os.WriteFile(outside, []byte(secret), 0o644))
	if os.Geteuid() == 0 {
		must(t, os.Chown(outside, 65534, 65534)) // it belongs to somebody else
	} else {
		outside = "/etc/passwd"
	}
	for _, name := range hidden {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		if strings.Contains(filepath.Base(name), "link") {
			must(t, os.Symlink(outside, name))
			continue
		}
		must(t, os.WriteFile(name, []byte(secret), 0o644))
	}
	for name := range served {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("{}"), 0o644))
	}
	for d := filepath.Dir(outside); len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	own := func(tb testing.TB, dir string) string {
		h, err := serve.New(serve.Options{Dir: dir, IndexMaxAge: 600e9})
		if err != nil {
			tb.Fatal(err)
		}
		s := httptest.NewServer(h)
		tb.Cleanup(s.Close)
		return s.URL
	}
	for name, start := range map[string]func(testing.TB, string) string{"nginx": lab.Nginx, "apache2": lab.Apache, "serve": own} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t, dir)
			for path, want := range served {
				answer{path, "/" + path, "", http.StatusOK, want[0], want[1], false}.ask(t, url)
				data(t, url+"/"+path, http.StatusOK)
			}
			for _, path := range hidden {
				if text := data(t, url+"/"+path, 0); strings.Contains(text, secret) {
					t.Errorf("%s is served", path)
				}
			}
		})
	}
}

// data is the body of an answer, whose headers keep a browser from running it. 0 is any refusal.
func data(t *testing.T, url string, status int) string {
	t.Helper()
	res, err := http.Get(url)
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	h := res.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") && status != 0 {
		t.Errorf("%s: %v", url, h)
	}
	if status == 0 && res.StatusCode < 400 {
		t.Errorf("%s: %s", url, res.Status)
	}
	return string(text)
}
