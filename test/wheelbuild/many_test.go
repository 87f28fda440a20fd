package wheelbuild_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
)

// TestTheFieldsBackends builds real source distributions of all common backends
// and of the pbr family on three generations of Debian, the oldest of which has a
// pip that can do little: with MIRRORCYCLE_LONG=1, which takes minutes; else one
// of each backend on the newest.
func TestTheFieldsBackends(t *testing.T) {
	roots, pins := []string{rootlab.Debian13}, []string{"oslo.i18n==6.3.0", "attrs==24.2.0", "tomlkit==0.13.2", "findpython==0.6.2", "meson-python==0.17.1", "tenacity==9.0.0"}
	if os.Getenv("MIRRORCYCLE_LONG") == "1" {
		roots, pins = []string{rootlab.Debian11, rootlab.Debian12, rootlab.Debian13}, slices.Sorted(maps.Keys(rootlab.Field))
	}
	r := newRig(t)
	set := rootlab.FieldSet(t, pins)
	r.index = rootlab.Index(t, set)
	slots := make(chan struct{}, 2)
	var mu sync.Mutex
	classes := map[string]map[string]int{}
	for _, root := range roots {
		classes[root] = map[string]int{}
		for _, pin := range pins {
			t.Run(root+"/"+pin, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				name, version, _ := strings.Cut(pin, "==")
				path, digest := rootlab.Find(t, set, simpleindex.Normalize(name))
				req := r.request(t, root, name, version, path, digest)
				req.Constraints = []string{"setuptools<81"}
				res := run(t, req)
				mu.Lock()
				classes[root][string(res.Class)]++
				mu.Unlock()
				t.Logf("%s: %q %s %s %.1f s", pin, res.Class, res.Message, res.File, res.Time.Seconds())
				if want := rootlab.Field[pin]; string(res.Class) != want {
					t.Errorf("%q, want %q: %s", res.Class, want, logOf(t, req, res))
				}
			})
		}
	}
	t.Cleanup(func() { t.Logf("by class: %v", classes) })
}
