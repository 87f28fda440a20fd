package wheelbuild_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
)

// TestRealSDists builds pure and compiled projects on both roots, each twice: two
// builds of one sdist are the same bytes.
func TestRealSDists(t *testing.T) {
	r := newRig(t)
	for _, root := range []string{rootlab.Debian12, rootlab.Debian13} {
		for _, p := range []struct{ name, version, tags string }{
			{"MarkupSafe", "2.1.5", "-linux_x86_64.whl"}, {"pyyaml", "6.0.2", "-linux_x86_64.whl"},
			{"six", "1.17.0", "-py2.py3-none-any.whl"}, {"idna", "3.10", "-py3-none-any.whl"},
		} {
			t.Run(root+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				sdist, digest := rootlab.Find(t, r.input, p.name)
				first := run(t, r.request(t, root, p.name, p.version, sdist, digest))
				if first.Class != "" || !strings.HasSuffix(first.File, p.tags) {
					t.Fatalf("%+v", first)
				}
				again := run(t, r.request(t, root, p.name, p.version, sdist, digest))
				if again.SHA256 != first.SHA256 {
					t.Errorf("two builds differ: %s and %s", first.SHA256, again.SHA256)
				}
				t.Logf("%s: %s, needs %v %v", first.File, first.Report, first.Report.Libraries, first.Report.Versions)
			})
		}
	}
}

func TestProbe(t *testing.T) {
	s := rootlab.Sandbox(t)
	for name, want := range rootlab.Platforms {
		got, err := build.Probe(t.Context(), s, rootlab.Root(t, name), want.Python)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if p, err := build.Probe(t.Context(), s, rootlab.Root(t, rootlab.Debian12), "3.9"); err == nil {
		t.Errorf("python 3.9: %+v", p)
	}
}
