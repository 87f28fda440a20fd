package pypi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCachesAreToldToAsk: the root page and pages of projects are asked for past
// caches, and past all of them when they are tried again; files are not.
func TestCachesAreToldToAsk(t *testing.T) {
	s := newStage(t, nil)
	asked := map[string][]string{}
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		p := strings.TrimPrefix(r.URL.Path, "/")
		if !strings.HasPrefix(p, "simple/") {
			p = "file"
		}
		asked[p] = append(asked[p], r.Header.Get("Cache-Control"))
		fail := len(asked[p]) == 1
		if fail {
			w.WriteHeader(http.StatusBadGateway)
		}
		return fail
	})
	s.set("alpha", s.file("alpha-1.tar.gz", []byte("sdist")))
	s.mustCycle(t)
	past := []string{"max-age=0", "no-cache"}
	if d := cmp.Diff(map[string][]string{"simple/": past, "simple/alpha/": past, "file": {"", ""}}, asked); d != "" {
		t.Error(d)
	}
}
