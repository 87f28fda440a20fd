package wheelbuild_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
)

// TestWithoutASandbox builds in the root by chroot: the same wheel, and the root is left as it was.
func TestWithoutASandbox(t *testing.T) {
	r := newRig(t)
	sdist, digest := rootlab.Find(t, r.input, "MarkupSafe")
	contained := run(t, r.request(t, rootlab.Debian13, "MarkupSafe", "2.1.5", sdist, digest))
	var err error
	if r.sandbox, err = sandbox.Open(sandbox.Config{Mode: sandbox.None}); err != nil {
		t.Fatal(err)
	}
	req := r.request(t, rootlab.Debian13, "MarkupSafe", "2.1.5", sdist, digest)
	was, err := filepath.Glob(filepath.Join(req.Root, "tmp", "*")) // a run that was killed may have left something
	if err != nil {
		t.Fatal(err)
	}
	plain := run(t, req)
	if plain.Class != "" || plain.SHA256 != contained.SHA256 {
		log, _ := os.ReadFile(filepath.Join(req.Dir, plain.Log))
		t.Errorf("%+v, want the bytes of %+v: %s", plain, contained, log)
	}
	left, err := filepath.Glob(filepath.Join(req.Root, "tmp", "*"))
	left = slices.DeleteFunc(left, func(name string) bool { return slices.Contains(was, name) })
	if err != nil || len(left) > 0 {
		t.Errorf("left in the root: %v, %v", left, err)
	}
}
