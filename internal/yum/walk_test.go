package yum_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// wrong are answers that contradict what upstream has.
var wrong = map[string]func(w http.ResponseWriter, is, was []byte){
	"404":       func(w http.ResponseWriter, _, _ []byte) { w.WriteHeader(http.StatusNotFound) },
	"500":       func(w http.ResponseWriter, _, _ []byte) { w.WriteHeader(http.StatusInternalServerError) },
	"empty":     func(w http.ResponseWriter, _, _ []byte) { w.WriteHeader(http.StatusOK) },
	"truncated": func(w http.ResponseWriter, is, _ []byte) { _, _ = w.Write(is[:len(is)/2]) },
	"older":     func(w http.ResponseWriter, _, was []byte) { _, _ = w.Write(was) },
	"a page": func(w http.ResponseWriter, _, _ []byte) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body>Please log in</body></html>"))
	},
}

// moved is a mirror of one edition of a repository whose upstream has the next.
func moved(t *testing.T) (s *site, was map[string][]byte) {
	t.Helper()
	s = newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	s.must()
	s.edit(func(f map[string][]byte) { was = maps.Clone(f) })
	s.publish("os", signedRepo(next, 2))
	s.requests()
	return s, was
}

// TestEachRequestGoesWrongOnce: whichever request of a cycle is answered wrongly,
// the tree is the old or the new edition, and one calm cycle later the new one.
func TestEachRequestGoesWrongOnce(t *testing.T) {
	calm, older := moved(t)
	calm.must()
	paths := slices.Sorted(maps.Keys(calm.requests()))
	if len(paths) < 5 || !slices.Contains(paths, "os/repodata/repomd.xml") || !slices.Contains(paths, "os/repodata/repomd.xml.asc") {
		t.Fatalf("a cycle asks for %v", paths)
	}
	for _, path := range paths {
		for kind, answer := range wrong {
			if kind == "older" && older[path] == nil {
				continue // the first edition has no such file
			}
			t.Run(kind+"/"+path, func(t *testing.T) {
				t.Parallel()
				s, was := moved(t)
				before := s.snapshot()
				var asked atomic.Bool
				s.mu.Lock()
				is := s.files[path]
				s.alter = func(w http.ResponseWriter, r *http.Request) bool {
					if strings.TrimPrefix(r.URL.Path, "/") != path || asked.Swap(true) {
						return false
					}
					answer(w, is, was[path])
					return true
				}
				s.mu.Unlock()
				r := s.cycle()
				if !asked.Load() {
					t.Fatalf("%s was not asked for", path)
				}
				if r.Number == 0 {
					s.unchanged(before)
					s.must()
				}
				s.holds("os")
				s.still()
			})
		}
	}
}

// TestAKeyThatIsNone: what is no key is not given to clients as one; a key that
// the tree has stays.
func TestAKeyThatIsNone(t *testing.T) {
	const key = "os/repodata/repomd.xml.key"
	none := func(f map[string][]byte) { f[key] = []byte("<html>Please log in</html>") }
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	s.edit(none)
	s.noted(s.cycle(), "unproved", "it is no OpenPGP public key")
	if slices.Contains(s.b.Files(), key) {
		t.Error("it is there")
	}
	s.still()
	s.publish("os", signedRepo(next, 2))
	s.must()
	was := s.b.Read(key)
	s.publish("os", signedRepo(good, 3))
	s.edit(none)
	s.noted(s.cycle(), "unproved", "it is no OpenPGP public key")
	if got := s.b.Read(key); got != was {
		t.Errorf("the key is %q", got)
	}
}
