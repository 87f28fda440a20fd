package serve_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzPath asks for any path: nothing hidden and nothing outside is served, and
// a redirect stays on this host.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/pypi/simple/Demo_Hello", "/.releases/pypi/6/simple/", "/pypi/.mirror/other", "/..%2f..", "//x/simple",
		"/away/secret", "/pypi/%00", "/.mirrorcycle/id", "/pypi/./.mirror/../simple", "/\\x"} {
		f.Add(path)
	}
	h := handler(f, region(f))
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse(path)
		if err != nil || u.Host != "" {
			return
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		body := w.Body.String()
		if w.Code >= 500 || body == "secret" || body == "hidden" || body == "region" || strings.HasPrefix(body, "root:") {
			t.Errorf("%q: %d %q", path, w.Code, body)
		}
		if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%q leads away to %q", path, to)
		}
	})
}
