package yum_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/rpmrepo/rpmrepotest"
)

// TestCachesAreToldToAsk: metadata whose name does not hold its digest is asked
// for past caches, and past all of them when it is tried again.
func TestCachesAreToldToAsk(t *testing.T) {
	for name, simple := range map[string]bool{"simple names": true, "names with digests": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			asked := map[string][]string{}
			s.alter = func(w http.ResponseWriter, r *http.Request) bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				p := strings.TrimPrefix(r.URL.Path, "/")
				if !simple && strings.Contains(p, "-primary.xml") {
					p = "primary by digest"
				}
				asked[p] = append(asked[p], r.Header.Get("Cache-Control"))
				fail := len(asked[p]) == 1 && !strings.HasSuffix(p, ".rpm")
				if fail {
					w.WriteHeader(http.StatusBadGateway)
				}
				return fail
			}
			s.publish("os", rpmrepotest.Repo{Packages: good[:1], Signed: true, Revision: 1, Simple: simple})
			s.must()
			past := []string{"max-age=0", "no-cache"}
			want := map[string][]string{"os/repodata/repomd.xml": past, "os/repodata/repomd.xml.asc": past, "os/repodata/primary.xml.gz": past}
			if !simple {
				delete(want, "os/repodata/primary.xml.gz")
				want["primary by digest"] = []string{"", ""}
			}
			got := map[string][]string{}
			for p, v := range asked {
				if _, ok := want[p]; ok {
					got[p] = v
				} else if strings.HasSuffix(p, ".rpm") && v[0] != "" {
					t.Errorf("package %s: %q", p, v)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
