package serve_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/serve"
)

// TestPagesOfTheIndexMirror asks a region for pages of a wheels mirror that only its index mirror has.
func TestPagesOfTheIndexMirror(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"wheels/d12/simple/own/index.html": "own", "pypi/simple/index.html": "root", "pypi/simple/own/index.html": "theirs",
		"pypi/simple/other/index.html": "other", "pypi/packages/x.whl": "x", "wheels/d12/logs/a-1.log": "log"} {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := serve.New(serve.Options{Dir: dir, IndexMaxAge: time.Minute, Indexes: map[string]string{"wheels": "pypi"}})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path string
		code int
		to   string
	}{
		"a page of its own":                {"/wheels/d12/simple/own/", http.StatusOK, ""},
		"another page":                     {"/wheels/d12/simple/other/", http.StatusFound, "/pypi/simple/other/"},
		"without a slash":                  {"/wheels/d12/simple/other", http.StatusFound, "/pypi/simple/other"},
		"the root page":                    {"/wheels/d12/simple/", http.StatusFound, "/pypi/simple/"},
		"the root page without a slash":    {"/wheels/d12/simple", http.StatusMovedPermanently, "/wheels/d12/simple/"},
		"a platform without own wheels":    {"/wheels/d13/simple/own/", http.StatusFound, "/pypi/simple/own/"},
		"a name that is not normalised":    {"/wheels/d12/simple/Other_X/", http.StatusMovedPermanently, "/wheels/d12/simple/other-x/"},
		"a log":                            {"/wheels/d12/logs/a-1.log", http.StatusOK, ""},
		"no log":                           {"/wheels/d12/logs/b-1.log", http.StatusNotFound, ""},
		"an own wheel that is not there":   {"/wheels/packages/x.whl", http.StatusNotFound, ""},
		"a page that nobody has":           {"/pypi/simple/none/", http.StatusNotFound, ""},
		"another mirror has no such pages": {"/pypi/d12/simple/own/", http.StatusNotFound, ""},
		"a link from a snapshot":           {"/.releases/wheels/pypi/packages/x.whl", http.StatusFound, "/pypi/packages/x.whl"},
		"a link to an odd name":            {"/.releases/wheels/pypi/packages/x-1%212.0%2Bc%23d%25e%20..f.whl", http.StatusFound, "/pypi/packages/x-1%212.0+c%23d%25e%20..f.whl"},
		"a link that climbs":               {"/.releases/wheels/pypi/../x", http.StatusBadRequest, ""},
		"hidden files of the index mirror": {"/.releases/wheels/pypi/.mirror/id", http.StatusFound, "/pypi/.mirror/id"},
		"a snapshot of no wheels mirror":   {"/.releases/pypi/wheels/x", http.StatusNotFound, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://mirror.example.org"+c.path, nil))
			if w.Code != c.code || w.Header().Get("Location") != c.to {
				t.Errorf("%s: %d %q, want %d %q", c.path, w.Code, w.Header().Get("Location"), c.code, c.to)
			}
		})
	}
}
