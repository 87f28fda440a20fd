package serve_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/site"
)

func TestSiteOfARegion(t *testing.T) {
	dir, at := region(t), filepath.Join(t.TempDir(), "site")
	h, err := serve.New(serve.Options{Dir: dir, Site: at})
	if err != nil {
		t.Fatal(err)
	}
	if res := get(h, "/"); res.StatusCode != 200 || !strings.Contains(body(t, res), "apt") {
		t.Error("without a page the mirrors are not listed")
	}
	if res := get(h, "/healthz"); res.StatusCode != 503 {
		t.Errorf("healthz without a page: %s", res.Status)
	}
	if err := site.Setup(at, "dfw"); err != nil {
		t.Fatal(err)
	}
	put := func(now time.Time) {
		t.Helper()
		_, err := site.Write(site.Options{Dir: at, Status: site.Status{Region: "dfw", Cycle: "c"}, StaleAfter: time.Hour, Now: now,
			Files: map[string][]byte{"apt/a.sources": []byte("Types: deb"), "apt/a.gpg": {1}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(time.Now().Add(-2 * time.Hour))
	if res := get(h, "/healthz"); res.StatusCode != 503 || !strings.HasPrefix(body(t, res), "stale since ") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("healthz of a page that nobody writes any more: %s", res.Status)
	}
	put(time.Now())
	for _, tt := range []struct {
		path, kind, text string
		status           int
	}{
		{"/", "text/html; charset=utf-8", "Mirrors in dfw", 200},
		{"/status.json", "application/json", `"version": 1`, 200},
		{"/healthz", "text/plain; charset=utf-8", "ok until ", 200},
		{"/config/apt/a.sources", "text/plain; charset=utf-8", "Types: deb", 200},
		{"/config/apt/a.gpg", "application/octet-stream", "\x01", 200},
		{"/config/apt", "", "", 404},
		{"/config/apt/", "", "", 404},
		{"/config/no", "", "", 404},
		{"/config/../.mirrorcycle-site", "", "", 400},
		{"/config/.hidden", "", "", 404},
		{"/.mirrorcycle-site", "", "", 404},
		{"/apt/dists/s/InRelease", "application/octet-stream", "signed", 200},
	} {
		res := get(h, tt.path)
		if text := body(t, res); res.StatusCode != tt.status || tt.status == 200 && !strings.Contains(text, tt.text) {
			t.Errorf("%s: %s %q", tt.path, res.Status, text)
		}
		if got := res.Header.Get("Content-Type"); tt.kind != "" && got != tt.kind && tt.path != "/apt/dists/s/InRelease" {
			t.Errorf("%s is %s", tt.path, got)
		}
	}
}
