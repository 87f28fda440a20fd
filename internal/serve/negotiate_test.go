package serve_test

import (
	"net/http"
	"strings"
	"testing"
)

const (
	html   = "text/html; charset=utf-8"
	v1html = "application/vnd.pypi.simple.v1+html"
	v1json = "application/vnd.pypi.simple.v1+json"
)

func TestNegotiation(t *testing.T) {
	h := handler(t, region(t))
	tests := []struct{ name, accept, want string }{
		{"nothing", "", html},
		{"anything", "*/*", html},
		{"pip", "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.01", v1json},
		{"uv", "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01", v1json},
		{"old pip", "text/html", html},
		{"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", html},
		{"HTML by version", "application/vnd.pypi.simple.v1+html", v1html},
		{"the latest JSON", "application/vnd.pypi.simple.latest+json", v1json},
		{"the latest HTML", "application/vnd.pypi.simple.latest+html", v1html},
		{"JSON before the rest", "application/vnd.pypi.simple.v1+json, */*;q=0.01", v1json},
		{"the rest before JSON", "application/vnd.pypi.simple.v1+json;q=0.2, */*", html},
		{"any application", "application/*", v1json},
		{"any text", "text/*", html},
		{"any text, JSON preferred", "text/*;q=0.5, application/vnd.pypi.simple.v1+json;q=0.6", v1json},
		{"the specific range counts", "application/*;q=0.9, application/vnd.pypi.simple.v1+json;q=0.1", v1html},
		{"all but HTML", "*/*, text/html;q=0", v1json},
		{"case and blanks", "  Application/VND.pypi.simple.V1+JSON ;  Q=1.0 ", v1json},
		{"unreadable parts", ";;, /, text/html;q=x, application/vnd.pypi.simple.v1+json;q=0.3, a b c", v1json},
		{"other parameters", "text/html;level=1;q=0.4", html},
		{"nothing that fits", "application/json", ""},
		{"version 2", "application/vnd.pypi.simple.v2+json", ""},
		{"weight 0", "text/html;q=0", ""},
		{"weight beyond", "text/html;q=1.5", ""},
		{"weight NaN", "text/html;q=NaN", ""},
		{"an image", "image/*", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := get(h, "/pypi/simple/demo-hello/", "Accept", tt.accept)
			if got := res.Header.Get("Vary"); got != "Accept" {
				t.Errorf("Vary: %q", got)
			}
			content := body(t, res)
			if tt.want == "" {
				if res.StatusCode != http.StatusNotAcceptable || !strings.Contains(content, v1json) {
					t.Errorf("%s: %s", res.Status, content)
				}
				return
			}
			page := "page html"
			if tt.want == v1json {
				page = "page json"
			}
			if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != tt.want || content != page {
				t.Errorf("%s %s: %s, want %s", res.Status, got, content, tt.want)
			}
		})
	}
}

func TestNegotiationOverSeveralHeaders(t *testing.T) {
	res := get(handler(t, region(t)), "/pypi/simple/", "Accept", "text/html;q=0.1", "Accept", v1json)
	if got := res.Header.Get("Content-Type"); got != v1json {
		t.Error(got)
	}
}

func FuzzNegotiation(f *testing.F) {
	for _, accept := range []string{"", "*/*", v1json + ", text/html;q=0.01", "text/*;q=0", `text/html;a="b,c";q=0.5`, ",,;q=1"} {
		f.Add(accept)
	}
	h := handler(f, region(f))
	f.Fuzz(func(t *testing.T, accept string) {
		res := get(h, "/pypi/simple/", "Accept", accept)
		if res.StatusCode != 200 && res.StatusCode != 406 || res.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: %s", accept, res.Status)
		}
	})
}
