package serve_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/serve"
)

// TestOneMirrorOnly asks what a build may ask for another mirror of the same
// storage, by any address, name and path, with and without an index to fall back to.
func TestOneMirrorOnly(t *testing.T) {
	dir := t.TempDir()
	const secret = "only for one region"
	write(t, dir, map[string]string{"pypi/simple/a/index.html": "page", "pypi/packages/a.whl": "wheel", "pypi/.mirror/generation.json": "{}",
		"pypi/other": secret, "private/simple/s/index.html": secret, "private/simple/index.v1_json": secret, "private/packages/s.whl": secret,
		"private/pool/s.deb": secret, ".releases/private/1/packages/s.whl": secret, ".releases/pypi/1/packages/s.whl": secret,
		".state/private/id": secret, ".mirrorcycle/id": "x"})
	for name, target := range map[string]string{"pypi/packages/beside.whl": "../../private/packages/s.whl", "pypi/simple/beside": "../../private/simple/s",
		"pypi/packages/out.whl": filepath.Join(dir, "private/packages/s.whl"), "pypi/packages/up": "../.."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, indexes := range map[string]map[string]string{"alone": nil, "with a fallback": {"pypi": "private", "wheels": "private"}} {
		h, err := serve.New(serve.Options{Dir: dir, Only: "pypi", Indexes: indexes})
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"/pypi/simple/a/": "page", "/pypi/packages/a.whl": "wheel"} {
			if res := get(h, path); res.StatusCode != http.StatusOK || body(t, res) != want {
				t.Errorf("%s: %s: %s", name, path, res.Status)
			}
		}
		for _, path := range []string{"/", "/private/simple/s/", "/private/simple/", "/private/packages/s.whl", "/private/pool/s.deb", "//private//packages/s.whl",
			"/./private/packages/s.whl", "/pypi/../private/packages/s.whl", "/pypi/packages/../../private/packages/s.whl",
			"/pypi/%2e%2e/private/packages/s.whl", "/pypi/packages/..%2f..%2fprivate/packages/s.whl", "/pypi/other", "/pypi/packages/beside.whl",
			"/pypi/simple/beside/", "/pypi/packages/out.whl", "/pypi/packages/up/private/packages/s.whl", "/.releases/private/1/packages/s.whl",
			"/.releases/pypi/1/packages/s.whl", "/.releases/wheels/private/packages/s.whl", "/.state/private/id", "/pypi/.mirror/generation.json",
			"/wheels/d12/simple/s/", "/pypi/d12/simple/s/", "http://private/private/packages/s.whl"} {
			res := get(h, path)
			if got := body(t, res); res.StatusCode < 400 || strings.Contains(got, secret) {
				t.Errorf("%s: %s: %s: %q", name, path, res.Status, got)
			}
		}
	}
}

func TestLogsAreText(t *testing.T) {
	dir := region(t)
	write(t, dir, map[string]string{"wheels/d12/logs/a-1.log": "<script>"})
	res := get(handler(t, dir), "/wheels/d12/logs/a-1.log")
	if got := res.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a log is served as %s", got)
	}
}
