package wheelbuild_test

import (
	"strings"
	"sync"
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
)

// TestRealSDists builds pure and compiled projects on both roots. Two builds of
// one sdist are the same bytes: compiled ones a second time on their root, those
// of pure Python on the other root too.
func TestRealSDists(t *testing.T) {
	r := newRig(t)
	var digests sync.Map // by file name
	for _, root := range []string{rootlab.Debian12, rootlab.Debian13} {
		for _, p := range []struct{ name, version, tags string }{
			{"MarkupSafe", "2.1.5", "-linux_x86_64.whl"}, {"pyyaml", "6.0.2", "-linux_x86_64.whl"},
			{"six", "1.17.0", "-py2.py3-none-any.whl"}, {"idna", "3.10", "-py3-none-any.whl"},
		} {
			t.Run(root+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				sdist, digest := rootlab.Find(t, r.input, p.name)
				builds := 1
				if p.name == "MarkupSafe" {
					builds = 2
				}
				for range builds {
					res := run(t, r.request(t, root, p.name, p.version, sdist, digest))
					if res.Class != "" || !strings.HasSuffix(res.File, p.tags) {
						t.Fatalf("%+v", res)
					}
					if before, there := digests.LoadOrStore(res.File, res.SHA256); there && before != res.SHA256 {
						t.Errorf("two builds of %s differ: %s and %s", res.File, before, res.SHA256)
					}
					if p.name == "MarkupSafe" && (res.Report.Policy != "manylinux_2_14_x86_64" || len(res.Report.Binaries) != 1) {
						t.Errorf("%+v", res.Report)
					}
				}
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
