package wheels_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/wheels"
)

// TestVerifyDoubtsAMergedIndex spoils a merged index, or what it refers to, in
// ways that verification must find before any region gets it.
func TestVerifyDoubtsAMergedIndex(t *testing.T) {
	page := wheels.PageDir("d12", "native") + "/" + simpleindex.V1JSONName
	cases := map[string]struct {
		spoil func(b *bench) error
		want  string
	}{
		"nothing": {func(*bench) error { return nil }, ""},
		"the index mirror lets go of a file": {func(b *bench) error {
			delete(b.files["native"], "native-1.0.tar.gz")
			b.publish()
			return nil
		}, "does not name packages/"},
		"an own wheel is gone": {func(b *bench) error {
			found, err := filepath.Glob(filepath.Join(b.Dir, "tree/packages/*/*/*/*.whl"))
			if err != nil || len(found) != 1 {
				return os.ErrNotExist
			}
			return os.Remove(found[0])
		}, "is missing"},
		"a page with other bytes": {func(b *bench) error {
			name := filepath.Join(b.Dir, "tree", page)
			data := strings.Replace(b.Read(page), "native-1.0.tar.gz", "native-1.1.tar.gz", 1)
			return os.WriteFile(name, []byte(data), 0o644)
		}, "has SHA-256"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.add("native", "native-1.0.tar.gz")
			b.publish()
			b.wanted["d12"] = pins("native===1.0")
			b.build("d12", compiled("cp311-cp311-linux_x86_64"))
			if r := b.Cycle(b.engine); r.Err != nil || r.Number != 1 {
				t.Fatalf("%+v", r)
			}
			if err := c.spoil(b); err != nil {
				t.Fatal(err)
			}
			tr := b.Tree()
			g, err := tr.Committed()
			if err != nil {
				t.Fatal(err)
			}
			report, err := verify.Tree(context.Background(), tr, g, verify.Options{Kind: verify.Wheels, Foreign: b.Verify.Foreign, Full: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(report.Problems, "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("problems: %q, want one with %q", got, c.want)
			}
		})
	}
}
