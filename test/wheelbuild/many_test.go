package wheelbuild_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
)

// TestTheFieldsBackends builds a real source distribution of each common backend
// and of the pbr family, beside each other. make wheels-field builds many.
func TestTheFieldsBackends(t *testing.T) {
	const root = rootlab.Debian13
	pins := []string{"oslo.i18n==6.3.0", "attrs==24.2.0", "tomlkit==0.13.2", "findpython==0.6.2", "meson-python==0.17.1", "tenacity==9.0.0"}
	r := newRig(t)
	set := rootlab.FieldSet(t, pins)
	r.index = rootlab.Index(t, set)
	for _, pin := range pins {
		t.Run(pin, func(t *testing.T) {
			t.Parallel()
			name, version, _ := strings.Cut(pin, "==")
			path, digest := rootlab.Find(t, set, simpleindex.Normalize(name))
			req := r.request(t, root, name, version, path, digest)
			req.Constraints = []string{"setuptools<81"}
			if res, want := run(t, req), rootlab.Field[pin]; string(res.Class) != want {
				t.Errorf("%q, want %q: %s", res.Class, want, logOf(t, req, res))
			}
		})
	}
}
