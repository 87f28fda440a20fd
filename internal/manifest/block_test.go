package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// blocks is a Store of which parts can be read; it counts what is read.
type blocks struct {
	*memory
	parts, bytes int
}

func (s *blocks) ReadSegmentAt(d manifest.Digest, buf []byte, offset int64) error {
	data, ok := s.blobs[d]
	if !ok || int(offset)+len(buf) > len(data) {
		return fmt.Errorf("no such part of %s", d)
	}
	s.parts++
	s.bytes += copy(buf, data[offset:])
	return nil
}

// large writes n entries in two directories, and returns the store with nothing counted.
func large(t *testing.T, n int) (*blocks, *manifest.Manifest, map[string]manifest.Entry) {
	t.Helper()
	s := &blocks{memory: newMemory()}
	model := map[string]manifest.Entry{}
	for i := range n {
		p := fmt.Sprintf("%s/%06d/%s", t.Name(), i/3, []string{"a", "b.metadata", "c"}[i%3])
		model[p] = entry(p, i)
	}
	m := write(t, s, model)
	s.reads = 0
	return s, m, model
}

// TestLookupReadsABlock: after a segment was proved, one of its entries costs
// a read of some 8 KB, in whatever order and through whichever manifest.
func TestLookupReadsABlock(t *testing.T) {
	s, m, model := large(t, 60_000)
	paths := slices.Sorted(keys(model))
	rng := rand.New(rand.NewPCG(1, 2))
	look := func() {
		t.Helper()
		for range 2000 {
			p := paths[rng.IntN(len(paths))]
			if e, ok, err := m.Lookup(p); err != nil || !ok || e != model[p] {
				t.Fatalf("lookup %s: %v %v %v", p, e, ok, err)
			}
			if e, ok, err := m.Lookup(p + "0"); err != nil || ok {
				t.Fatalf("lookup %s0: %v %v", p, e, err)
			}
		}
	}
	look()
	if all := len(m.Segments()); s.reads > all {
		t.Errorf("read %d segments whole, the manifest has %d", s.reads, all)
	}
	var err error
	if m, err = manifest.Open(s, m.ID()); err != nil {
		t.Fatal(err)
	}
	s.reads, s.parts, s.bytes = 0, 0, 0
	look()
	if s.reads > 0 || s.parts > 4000 || s.bytes/s.parts > 20_000 {
		t.Errorf("again: read %d segments whole, and %d parts of %d bytes", s.reads, s.parts, s.bytes/s.parts)
	}
	s.parts = 0
	for _, p := range paths {
		if _, ok, err := m.Lookup(p); err != nil || !ok {
			t.Fatal(p, err)
		}
	}
	if want := len(paths)/64 + 2*len(m.Segments()); s.parts > want {
		t.Errorf("by ascending path: %d parts were read, want at most %d", s.parts, want)
	}
}

func TestUnderReadsABlock(t *testing.T) {
	s, m, model := large(t, 60_000)
	under := func(dir string) (got []string) {
		t.Helper()
		for e, err := range m.Under(dir) {
			if err != nil || e != model[e.Path] {
				t.Fatal(e, err)
			}
			got = append(got, e.Path)
		}
		return got
	}
	for range 2 { // with nothing proved, and with all of it
		for i := 0; i < 20_000; i += 97 {
			dir := fmt.Sprintf("%s/%06d/", t.Name(), i)
			if diff := cmp.Diff([]string{dir + "a", dir + "b.metadata", dir + "c"}, under(dir)); diff != "" {
				t.Fatal(diff)
			}
		}
		if got := under(t.Name() + "/none"); got != nil {
			t.Errorf("under none: %v", got)
		}
		if got := under(""); len(got) != len(model) || !slices.IsSorted(got) {
			t.Errorf("under the top: %d entries, want %d", len(got), len(model))
		}
	}
	s.reads, s.parts = 0, 0
	under(t.Name() + "/012345/")
	if s.reads > 0 || s.parts > 2 {
		t.Errorf("one directory: read %d segments whole and %d parts", s.reads, s.parts)
	}
}

// TestDamageAfterTheProofIsRefused: a block is the one that was proved, or an error.
func TestDamageAfterTheProofIsRefused(t *testing.T) {
	s, m, _ := large(t, 9_000)
	look := func(m *manifest.Manifest) (failed int) {
		for i := range 3000 {
			_, _, err := m.Lookup(fmt.Sprintf("%s/%06d/a", t.Name(), i))
			if err != nil && !errors.Is(err, fault.Corrupt) {
				t.Fatalf("got %v, want corrupt", err)
			}
			if err != nil {
				failed++
			}
		}
		return failed
	}
	if n := look(m); n > 0 {
		t.Fatalf("%d look-ups failed in a whole manifest", n)
	}
	d := m.Segments()[0]
	s.blobs[d] = bytes.Replace(s.blobs[d], []byte("/000100/"), []byte("/000900/"), 1)
	m, err := manifest.Open(s, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n := look(m); n == 0 || n > 64 {
		t.Errorf("%d look-ups failed, want those of the damaged block", n)
	}
	s.blobs[d] = s.blobs[d][:100]
	if _, _, err := m.Lookup(t.Name() + "/000100/a"); err == nil {
		t.Error("a segment that lost its end was read")
	}
}
