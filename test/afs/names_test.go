package afs_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/afslab"
)

// TestOddNames: names that URLs must escape are files of a volume like any other:
// written, released to every site, read there by each region's client, dropped and
// deleted.
func TestOddNames(t *testing.T) {
	t.Parallel()
	names := []string{"oddity-1!2.0-py3-none-any.whl", "oddity-1.0 (copy).zip", "oddity-1.0'2.zip", "oddity-100%.zip", "oddity-1.0%21.zip", "oddity-1.0#2.zip",
		"oddity-1.0@2.zip", "oddity-1.0&2.zip", "oddity-1.0=2.zip", "oddity-1.0;2.zip", "oddity-1.0,2.zip", "oddity-1.0~2.zip", "oddity-1.0+2.zip", "oddity-1.0é日本.zip"}
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, names...))
	for _, web := range webs {
		for _, name := range names {
			got, err := r.cell.On(web, "cat", r.volume.RO+"/pool/"+name)
			if err != nil && strings.Contains(err.Error(), "timed out") {
				got, err = r.ask(t, web, "pool/"+name) // see servedAt
			}
			if err != nil || string(got) != "content of "+name {
				t.Errorf("%s: %q: %q, %v", web, name, got, err)
			}
		}
	}
	o := r.options(t)
	r.confirm(t, o, 1)
	n := r.generation(t, names[0])
	r.released(t, n)
	for range 4 { // time counts by what regions were seen to serve
		r.confirm(t, o, n)
		r.pass(policy.Every * 2 / 3)
	}
	if reaped := r.tend(t, o); reaped.Objects != int64(len(names)-1) {
		t.Errorf("%d of %d dropped files were deleted", reaped.Objects, len(names)-1)
	}
	r.released(t, r.generation(t, names[0], "plain"))
}
