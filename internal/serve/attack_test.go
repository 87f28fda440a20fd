package serve_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingRunsInABrowser: whatever an archive or a package brings along is
// data, and is kept by caches only as long as what it is allows.
func TestNothingRunsInABrowser(t *testing.T) {
	dir := region(t)
	write(t, dir, map[string]string{"apt/pool/evil.html": "<script>", "apt/dists/s/dep11/x.html": "<script>", "apt/dists/s/x.svg": "<script>", "pypi/packages/aa/bb/cc/evil-1.html": "<script>",
		"apt/packages/Packages": "index", "apt/pool/Packages.gz": "index", "apt/pool/InRelease": "index", "apt/by-hash/SHA256/Packages": "index", "apt/packages/x_1_amd64.deb": "object",
		"apt/flat/x_1.dsc": "object", "apt/flat/x_1.orig.tar.xz": "object", "apt/dists/s/dep11/icons-64x64.tar.gz": "index"})
	h := handler(t, dir)
	for path, want := range map[string][2]string{
		"/apt/pool/evil.html":                    {octets, index},
		"/apt/dists/s/dep11/x.html":              {octets, index},
		"/apt/dists/s/x.svg":                     {octets, index},
		"/pypi/packages/aa/bb/cc/evil-1.html":    {octets, immutable},
		"/apt/packages/Packages":                 {text, index},
		"/apt/pool/Packages.gz":                  {"application/gzip", index},
		"/apt/pool/InRelease":                    {text, index},
		"/apt/by-hash/SHA256/Packages":           {text, index},
		"/apt/packages/x_1_amd64.deb":            {"application/vnd.debian.binary-package", immutable},
		"/apt/flat/x_1.dsc":                      {octets, immutable},
		"/apt/flat/x_1.orig.tar.xz":              {"application/x-xz", immutable},
		"/apt/dists/s/dep11/icons-64x64.tar.gz":  {"application/gzip", index},
		"/pypi/simple/demo-hello/":               {"text/html; charset=utf-8", index},
		"/apt/dists/s/nothing":                   {text, "no-store"},
		"/apt/dists/s/main/by-hash/SHA256/abc":   {octets, immutable},
		"/pypi/packages/aa/bb/cc/a-1.tar.gz":     {"application/gzip", immutable},
		"/pypi/packages/aa/bb/cc/a-1-none.whl":   {octets, immutable},
		"/.releases/pypi/6/simple/":              {"text/html; charset=utf-8", index},
		"/pypi/packages/aa/bb/cc/nothing-1.html": {text, "no-store"},
	} {
		header := get(h, path).Header
		csp := header.Get("Content-Security-Policy")
		if header.Get("Content-Type") != want[0] || header.Get("Cache-Control") != want[1] || header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: %v", path, header)
		}
	}
}

// TestNothingHiddenIsServed: no name with a dot, in old generations neither, and
// no file that a link leads to outside the region.
func TestNothingHiddenIsServed(t *testing.T) {
	dir, outside := region(t), filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{".releases/pypi/6/.mirror/id": "secret", ".releases/pypi/6/simple/.x": "secret", ".releases/pypi/.x/y": "secret", "pypi/.mirror/id": "secret",
		"pypi/simple/.x": "secret", "pypi/x/.mirror/generation.json": "secret", "pypi/.releases/x": "secret"})
	for _, link := range []string{"apt/pool/link.deb", "pypi/simple/link"} {
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	h := handler(t, dir)
	for _, path := range []string{"/.releases/pypi/6/.mirror/id", "/.releases/pypi/6/simple/.x", "/.releases/pypi/.x/y", "/pypi/.mirror/id", "/pypi/simple/.x",
		"/pypi/x/.mirror/generation.json", "/pypi/.releases/x", "/apt/pool/link.deb", "/pypi/simple/link"} {
		if res := get(h, path); res.StatusCode < 400 || strings.Contains(body(t, res), "secret") {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}
