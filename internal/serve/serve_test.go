package serve_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/serve"
)

// write makes files below dir; a content that begins with "-> " is a link.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// region makes a region with a package index of two generations, an archive,
// and things that nobody may see.
func region(t testing.TB) string {
	t.Helper()
	outside := t.TempDir()
	write(t, outside, map[string]string{"secret": "secret"})
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"pypi": "-> .mirrorcycle/pypi/views/7",
		"apt":  "-> .mirrorcycle/apt/views/3",
		"away": "-> " + outside,
		"up":   "-> ../../..",

		".mirrorcycle/id": "region",
		".mirrorcycle/pypi/views/7/.mirror/generation.json": `{"tree":"t","mirror":"pypi","number":7,"time":"2026-01-02T03:04:05Z"}`,
		".mirrorcycle/pypi/views/7/.mirror/other":           "hidden",
		".mirrorcycle/pypi/views/7/simple/index.html":       "root html",
		".mirrorcycle/pypi/views/7/simple/index.v1_html":    "root html",
		".mirrorcycle/pypi/views/7/simple/index.v1_json":    "root json",
		".mirrorcycle/pypi/views/7/simple/demo-hello":       "-> ../../6/simple/demo-hello",
		".mirrorcycle/pypi/views/7/packages":                "-> ../6/packages",
		".mirrorcycle/pypi/views/7/leave":                   "-> ../../../../../../etc/passwd",
		".mirrorcycle/pypi/views/7/absolute":                "-> " + filepath.Join(outside, "secret"),
		".mirrorcycle/pypi/views/7/loop":                    "-> loop",
		".mirrorcycle/pypi/views/7/dangling":                "-> nowhere",

		".mirrorcycle/pypi/views/6/.mirror/generation.json":            `{"tree":"t","mirror":"pypi","number":6}`,
		".mirrorcycle/pypi/views/6/simple/index.html":                  "old root",
		".mirrorcycle/pypi/views/6/simple/demo-hello/index.html":       "page html",
		".mirrorcycle/pypi/views/6/simple/demo-hello/index.v1_html":    "page html",
		".mirrorcycle/pypi/views/6/simple/demo-hello/index.v1_json":    "page json",
		".mirrorcycle/pypi/views/6/packages/aa/bb/cc/a-1-none.whl":     "wheel",
		".mirrorcycle/pypi/views/6/packages/aa/bb/cc/a-1.whl.metadata": "metadata",
		".mirrorcycle/pypi/views/6/packages/aa/bb/cc/a-1.tar.gz":       "sdist",
		".releases/pypi/7": "-> ../../.mirrorcycle/pypi/views/7",
		".releases/pypi/6": "-> ../../.mirrorcycle/pypi/views/6",
		".releases/pypi/5": "-> ../../.mirrorcycle/pypi/views/5",
		".mirrorcycle/apt/views/3/.mirror/generation.json":              `{"tree":"u","mirror":"apt","number":3}`,
		".mirrorcycle/apt/views/3/dists/s/InRelease":                    "signed",
		".mirrorcycle/apt/views/3/dists/s/main/Packages.gz":             "gz",
		".mirrorcycle/apt/views/3/dists/s/main/Packages.xz":             "xz",
		".mirrorcycle/apt/views/3/dists/s/main/by-hash/SHA256/abc":      "xz",
		".mirrorcycle/apt/views/3/pool/main/h/hello/hello_1+b~1_a.deb":  "deb",
		".mirrorcycle/apt/views/3/pool/main/h/hello/index.html":         "a page",
		".mirrorcycle/apt/views/3/dists/s/main/a directory & more/x.gz": "odd",
	})
	return dir
}

func handler(t testing.TB, dir string) http.Handler {
	t.Helper()
	h, err := serve.New(serve.Options{Dir: dir, IndexMaxAge: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, target string, header ...string) *http.Response {
	return do(h, http.MethodGet, target, header...)
}

// do asks without a client, which would clean the path.
func do(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	index     = "max-age=600"
	immutable = "max-age=365000000, immutable"
	octets    = "application/octet-stream"
	text      = "text/plain; charset=utf-8"
)

func TestFiles(t *testing.T) {
	h := handler(t, region(t))
	tests := []struct{ path, body, media, cache string }{
		{"/apt/dists/s/InRelease", "signed", text, index},
		{"/apt/./dists//s/InRelease", "signed", text, index},
		{"/apt/dists/s/main/Packages.gz", "gz", "application/gzip", index},
		{"/apt/dists/s/main/Packages.xz", "xz", "application/x-xz", index},
		{"/apt/dists/s/main/by-hash/SHA256/abc", "xz", octets, immutable},
		{"/apt/dists/s/main/a%20directory%20&%20more/x.gz", "odd", "application/gzip", index},
		{"/apt/pool/main/h/hello/hello_1+b~1_a.deb", "deb", "application/vnd.debian.binary-package", immutable},
		{"/apt/pool/main/h/hello/hello_1%2Bb~1_a.deb", "deb", "application/vnd.debian.binary-package", immutable},
		{"/apt/pool/main/h/hello/", "a page", octets, index},
		{"/pypi/packages/aa/bb/cc/a-1-none.whl", "wheel", octets, immutable},
		{"/pypi/packages/aa/bb/cc/a-1.whl.metadata", "metadata", text, immutable},
		{"/pypi/packages/aa/bb/cc/a-1.tar.gz", "sdist", "application/gzip", immutable},
		{"/pypi/simple/", "root html", "text/html; charset=utf-8", index},
		{"/pypi/simple/index.v1_json", "root json", "application/vnd.pypi.simple.v1+json", index},
		{"/pypi/simple/index.v1_html", "root html", "application/vnd.pypi.simple.v1+html", index},
		{"/pypi/simple/demo-hello/", "page html", "text/html; charset=utf-8", index},
		{"/pypi/.mirror/generation.json", `{"tree":"t","mirror":"pypi","number":7,"time":"2026-01-02T03:04:05Z"}`, "application/json", "no-store"},
		{"/.releases/pypi/6/.mirror/generation.json", `{"tree":"t","mirror":"pypi","number":6}`, "application/json", "no-store"},
		{"/.releases/pypi/6/simple/", "old root", "text/html; charset=utf-8", index},
		{"/.releases/pypi/6/packages/aa/bb/cc/a-1-none.whl", "wheel", octets, immutable},
		{"/.releases/pypi/7/simple/demo-hello/", "page html", "text/html; charset=utf-8", index},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			res := get(h, tt.path)
			if got := body(t, res); res.StatusCode != 200 || got != tt.body {
				t.Fatalf("%s: %q", res.Status, got)
			}
			for name, want := range map[string]string{"Content-Type": tt.media, "Cache-Control": tt.cache, "Content-Encoding": "",
				"Content-Length": fmt.Sprint(len(tt.body)), "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			head := do(h, http.MethodHead, tt.path)
			if head.StatusCode != 200 || body(t, head) != "" || head.Header.Get("ETag") != res.Header.Get("ETag") {
				t.Errorf("HEAD: %s %v", head.Status, head.Header)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	h := handler(t, region(t))
	tests := []struct {
		path string
		want int
	}{
		{"/nothing", 404}, {"/apt/dists/s/none", 404}, {"/apt/dists/s/InRelease/", 404}, {"/apt/dists/s/InRelease/below", 404},
		{"/apt/", 404}, {"/apt/dists/s/", 404}, // no listings
		{"/.mirrorcycle/id", 404}, {"/.mirrorcycle/pypi/views/7/simple/", 404}, {"/./.mirrorcycle/id", 404},
		{"/%2emirrorcycle/id", 404}, {"/pypi/.mirror/other", 404}, {"/pypi/.mirror/", 404}, {"/pypi/.mirror", 404},
		{"/pypi/simple/.mirror/generation.json", 404}, {"/.mirror/generation.json", 404},
		{"/.releases", 404}, {"/.releases/", 404}, {"/.releases/pypi/", 404}, {"/.releases/pypi/x/", 404}, {"/.releases/pypi/06/simple/", 404},
		{"/.releases/pypi/-1/", 404}, {"/.releases/.mirrorcycle/1/", 404}, {"/.releases/pypi/6/.mirror/other", 404},
		{"/.releases/pypi/6/none", 404}, {"/.releases/pypi/99/simple/", 404}, {"/.releases/none/1/", 404},
		{"/.releases/pypi/5/simple/", 410}, {"/.releases/pypi/4/simple/", 410}, {"/.releases/pypi/4", 410},
		{"/away/secret", 404}, {"/up/etc/passwd", 404}, {"/pypi/leave", 404}, {"/pypi/absolute", 404}, {"/pypi/loop", 404}, {"/pypi/dangling", 404},
		{"/pypi/../apt/dists/s/InRelease", 400}, {"/pypi/%2e%2e/apt/dists/s/InRelease", 400}, {"/..", 400},
		{"/pypi%2fsimple/", 400}, {"/pypi/simple%2F..%2f", 400}, {"/pypi/..%5capt", 400}, {"/pypi/%00", 400}, {"/pypi/a%0ab", 400},
		{"/pypi/" + strings.Repeat("x", 300), 404}, {"/pypi/" + strings.Repeat("x/", 3000), 404},
	}
	for _, tt := range tests {
		t.Run(tt.path[:min(len(tt.path), 60)], func(t *testing.T) {
			res := get(h, tt.path)
			if got := body(t, res); res.StatusCode != tt.want || strings.Contains(got, "secret") {
				t.Errorf("%s: %q, want %d", res.Status, got, tt.want)
			}
			if c := res.Header.Get("Cache-Control"); c != "no-store" {
				t.Errorf("Cache-Control %q: a refusal may soon be wrong", c)
			}
		})
	}
}

func TestSpecialFilesAreNotThere(t *testing.T) {
	dir := region(t)
	socket := filepath.Join(dir, "apt/socket")
	err := mkfifo(socket)
	need.That(t, err == nil, fmt.Sprint("no named pipes: ", err))
	if res := get(handler(t, dir), "/apt/socket"); res.StatusCode != 404 {
		t.Errorf("a pipe: %s", res.Status)
	}
}

func TestMethods(t *testing.T) {
	h := handler(t, region(t))
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		if res := do(h, method, "/pypi/simple/"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
}

func TestRedirects(t *testing.T) {
	h := handler(t, region(t))
	tests := []struct{ path, want string }{
		{"/pypi/simple", "/pypi/simple/"},
		{"/pypi/simple?x=1", "/pypi/simple/"},
		{"//pypi/simple", "/pypi/simple/"},
		{"/pypi", "/pypi/"},
		{"/pypi/simple/demo-hello", "/pypi/simple/demo-hello/"},
		{"/pypi/simple/Demo_Hello/", "/pypi/simple/demo-hello/"},
		{"/pypi/simple/Demo.-_Hello", "/pypi/simple/demo-hello/"},
		{"/pypi/simple/Not_There/", "/pypi/simple/not-there/"},
		{"/.releases/pypi/7/simple/Demo_Hello", "/.releases/pypi/7/simple/demo-hello/"},
		{"/apt/dists/s/main/a%20directory%20&%20more", "/apt/dists/s/main/a%20directory%20&%20more/"},
	}
	for _, tt := range tests {
		res := get(h, tt.path)
		if got := res.Header.Get("Location"); res.StatusCode != 301 || got != tt.want {
			t.Errorf("%s: %s to %q, want %q", tt.path, res.Status, got, tt.want)
		}
	}
	for _, path := range []string{"/pypi/simple/not-there/", "/pypi/simple/Demo_Hello/x", "/pypi/packages/Demo_Hello", "/apt/Demo_Hello"} {
		if res := get(h, path); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestNewWithoutDirectory(t *testing.T) {
	if _, err := serve.New(serve.Options{Dir: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fault.Config) {
		t.Error(err)
	}
}

func TestRegionIsRebuilt(t *testing.T) {
	dir := region(t)
	h := handler(t, dir)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir + ".old") })
	if res := get(h, "/apt/dists/s/InRelease"); res.StatusCode != 503 {
		t.Errorf("without a region: %s, which must not read as gone", res.Status)
	}
	write(t, dir, map[string]string{"apt/dists/s/InRelease": "anew"})
	if got := body(t, get(h, "/apt/dists/s/InRelease")); got != "anew" {
		t.Error(got)
	}
}

func TestMirrorIsBeingFilled(t *testing.T) {
	dir := region(t)
	write(t, dir, map[string]string{".mirrorcycle/new/log": ""})
	h := handler(t, dir)
	for p, want := range map[string]int{"/new/dists/s/InRelease": 503, "/new/": 503, "/.releases/new/1/": 503, "/none/dists/s/InRelease": 404, "/apt/none": 404} {
		res := get(h, p)
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", p, res.Status, want)
		}
		if later := res.Header.Get("Retry-After") != ""; later != (want == 503) {
			t.Errorf("%s: %s, Retry-After %q", p, res.Status, res.Header.Get("Retry-After"))
		}
	}
}

// TestDiskIsNotMounted: the directory is there and empty, or lacks one mirror.
func TestDiskIsNotMounted(t *testing.T) {
	dir := region(t)
	h := handler(t, dir)
	paths := []string{"/apt/dists/s/InRelease", "/apt/dists/s/none", "/pypi/simple/none/", "/.releases/pypi/5/simple/", "/.releases/pypi/6/simple/"}
	for _, name := range []string{"apt", "pypi", ".releases", ".mirrorcycle"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(t.TempDir(), name)); err != nil {
			t.Fatal(err)
		}
		if res := get(h, "/apt/dists/s/InRelease"); res.StatusCode != 503 {
			t.Errorf("%s is gone, too: %s", name, res.Status)
		}
	}
	for _, p := range paths {
		if res := get(h, p); res.StatusCode != 503 {
			t.Errorf("%s: %s, which must not read as gone", p, res.Status)
		}
	}
}

func TestFrontPage(t *testing.T) {
	dir := region(t)
	write(t, dir, map[string]string{
		"a<b>&c/.mirror/generation.json": `{"number":1}`,
		"broken/.mirror/generation.json": `{`,
		"empty/file":                     "",
	})
	res := get(handler(t, dir), "/")
	page := body(t, res)
	for _, want := range []string{`<a href="/pypi/simple/">pypi</a>`, "generation 7", "2026-01-02 03:04 UTC", "<strong>apt</strong>", "generation 3",
		"a&lt;b&gt;&amp;c", `name="viewport"`, "light dark"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	for _, bad := range []string{"away", "secret", "broken", "empty", "mirrorcycle", "releases"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is on the page", bad)
		}
	}
	if got := res.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Error(got)
	}
	if page := body(t, get(handler(t, t.TempDir()), "/")); !strings.Contains(page, "No mirror") {
		t.Error(page)
	}
}
