package pypi_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
)

// spoilt replaces, in what is committed, one file of a project's page by what
// change makes of it; nil takes the file away.
func spoilt(tb testing.TB, file string, change func([]byte) []byte) func(*tree.Tree, *tree.CommitRequest) {
	return func(t *tree.Tree, req *tree.CommitRequest) {
		e, ok, err := req.Manifest.Lookup(file)
		if err != nil || !ok {
			tb.Fatalf("%s: %v, %v", file, ok, err)
		}
		f, err := t.OpenIndex(e.Digest)
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(f); err != nil {
			tb.Fatal(err)
		}
		c := manifest.Change{Entry: e}
		if data := change(text.Bytes()); data == nil {
			c.Remove = true
		} else {
			c.Entry.Size = int64(len(data))
			if c.Entry.Digest, err = t.PutIndex(data); err != nil {
				tb.Fatal(err)
			}
		}
		if req.Manifest, err = manifest.Edit(req.Manifest, func(yield func(manifest.Change, error) bool) { yield(c, nil) }); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestAPageThatFailsVerification: whatever verification finds wrong with one
// project's page, that project is held as it was, and the rest of the generation
// verifies without it. The next cycle tries the project again.
func TestAPageThatFailsVerification(t *testing.T) {
	const jsonForm, html, v1 = "simple/alpha/index.v1_json", "simple/alpha/index.html", "simple/alpha/index.v1_html"
	swap := func(old, other string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(other)) }
	}
	gone := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
	}{
		"not JSON":                 {jsonForm, swap("{", "(")},
		"another project":          {jsonForm, swap(`"name":"alpha"`, `"name":"omega"`)},
		"a file that is not there": {jsonForm, swap("alpha-2", "alpha-9")},
		"a file elsewhere":         {jsonForm, swap("../../packages", "https://other.example.org/packages")},
		"another size":             {jsonForm, swap(`"size":`, `"size":1`)},
		"another digest of METADATA": {jsonForm, func(b []byte) []byte {
			return regexp.MustCompile(`("core-metadata":\{"sha256":")[0-9a-f]{8}`).ReplaceAll(b, []byte("${1}00000000"))
		}},
		"no HTML":                       {html, gone},
		"no HTML under its other name":  {v1, gone},
		"two HTML forms":                {html, swap("alpha", "ALPHA")},
		"HTML of the old name is other": {v1, swap("alpha", "ALPHA")},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", new ", fresh), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, nil)
				s.set("beta", s.wheel("beta", "1"))
				if !fresh {
					s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "0"))
				}
				s.mustCycle(t)
				was := s.links("alpha")
				s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
				s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
				s.b.Spoil = spoilt(t, c.file, c.change)
				if r := s.cycle(); r.Number != 2 || r.Err != nil {
					t.Fatalf("%+v", r)
				}
				s.b.Spoil = nil
				s.b.Commit(func(tr *tree.Tree) (tree.CommitRequest, error) {
					sealed, err := tr.Sealed()
					if err != nil {
						t.Fatal(err)
					}
					g, err := tr.Committed()
					if err != nil {
						t.Fatal(err)
					}
					report, err := verify.Tree(t.Context(), tr, g, verify.Options{Kind: verify.PyPI, Since: sealed})
					if got := report.Holdable(); err != nil || report.OK() || !slices.Equal(got, []string{"alpha"}) {
						t.Fatalf("wrong are %v and %d more: %v, %v", slices.Sorted(maps.Keys(report.Units)), report.Others, report.Problems, err)
					}
					return s.engine.Hold(tr, sealed, report.Holdable())
				})
				if got := s.links("alpha"); !slices.Equal(got, was) || len(s.links("beta")) != 2 || slices.Contains(s.listed(), "alpha") == fresh {
					t.Fatalf("alpha has %v, had %v; beta has %v; listed %v", got, was, s.links("beta"), s.listed())
				}
				s.mustCycle(t)
				if got := s.links("alpha"); len(got) != 2 || !slices.Contains(got, "alpha-2-py3-none-any.whl") {
					t.Errorf("it was not tried again: %v", got)
				}
			})
		}
	}
}
