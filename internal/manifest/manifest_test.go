package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// memory is a Store that counts reads.
type memory struct {
	blobs map[manifest.Digest][]byte
	reads int
}

func newMemory() *memory { return &memory{blobs: map[manifest.Digest][]byte{}} }

func (m *memory) ReadSegment(d manifest.Digest) ([]byte, error) {
	m.reads++
	b, ok := m.blobs[d]
	if !ok {
		return nil, fmt.Errorf("no segment %s", d)
	}
	return b, nil
}

func (m *memory) WriteSegment(d manifest.Digest, data []byte) error {
	m.blobs[d] = slices.Clone(data)
	return nil
}

func entry(path string, v int) manifest.Entry {
	return manifest.Entry{Path: path, Kind: manifest.Object, Size: int64(v), Digest: sha256.Sum256(fmt.Append(nil, path, v))}
}

func sorted(model map[string]manifest.Entry) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if !yield(model[k], nil) {
				return
			}
		}
	}
}

func write(t *testing.T, s manifest.Store, model map[string]manifest.Entry) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Write(s, sorted(model))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func seq[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func randomChanges(rng *rand.Rand, model map[string]manifest.Entry, n int) []manifest.Change {
	byPath := map[string]manifest.Change{}
	keys := slices.Sorted(maps.Keys(model))
	for range n {
		switch k := rng.IntN(3); {
		case k == 0 && len(keys) > 0:
			p := keys[rng.IntN(len(keys))]
			byPath[p] = manifest.Change{Entry: model[p], Remove: true}
		case k == 1 && len(keys) > 0:
			p := keys[rng.IntN(len(keys))]
			byPath[p] = manifest.Change{Entry: entry(p, rng.IntN(1000))}
		default:
			p := fmt.Sprintf("pool/%05d", rng.IntN(60000))
			byPath[p] = manifest.Change{Entry: entry(p, rng.IntN(1000))}
		}
	}
	var out []manifest.Change
	for _, k := range slices.Sorted(maps.Keys(byPath)) {
		out = append(out, byPath[k])
	}
	return out
}

func apply(model map[string]manifest.Entry, changes []manifest.Change) map[string]manifest.Entry {
	next := maps.Clone(model)
	for _, c := range changes {
		if c.Remove {
			delete(next, c.Path)
		} else {
			next[c.Path] = c.Entry
		}
	}
	return next
}

// TestEditEqualsWrite walks random edits: the edited manifest must be the very
// one that writing the whole anew gives, and Diff must lead there and back.
func TestEditEqualsWrite(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	store := newMemory()
	model := map[string]manifest.Entry{}
	m := write(t, store, model)
	for round, n := range []int{30000, 1, 2, 500, 1, 9000, 3, 20000, 1} {
		changes := randomChanges(rng, model, n)
		edited, err := manifest.Edit(m, seq(changes))
		if err != nil {
			t.Fatal(err)
		}
		next := apply(model, changes)
		if whole := write(t, store, next); whole.ID() != edited.ID() {
			t.Fatalf("round %d: edit gives %s, write %s", round, edited.ID(), whole.ID())
		}
		if got, want := edited.Totals().Objects, int64(len(next)); got != want {
			t.Fatalf("round %d: %d objects, want %d", round, got, want)
		}
		there, err := manifest.Edit(m, manifest.Changes(manifest.Diff(m, edited)))
		if err != nil || there.ID() != edited.ID() {
			t.Fatalf("round %d: diff does not lead to the new manifest: %v", round, err)
		}
		back, err := manifest.Edit(edited, manifest.Changes(manifest.Diff(edited, m)))
		if err != nil || back.ID() != m.ID() {
			t.Fatalf("round %d: diff does not lead back: %v", round, err)
		}
		model, m = next, edited
	}
}

func TestCostFollowsChange(t *testing.T) {
	store := newMemory()
	model := map[string]manifest.Entry{}
	for i := range 200_000 {
		p := fmt.Sprintf("pool/%06d", i)
		model[p] = entry(p, i)
	}
	m := write(t, store, model)
	segments := len(m.Segments())
	if segments < 25 || segments > 100 {
		t.Fatalf("%d segments for 200,000 entries, want about 50", segments)
	}
	store.reads = 0
	blobs := len(store.blobs)
	one := manifest.Change{Entry: entry("pool/100000", -0+7)}
	edited, err := manifest.Edit(m, seq([]manifest.Change{one}))
	if err != nil {
		t.Fatal(err)
	}
	if store.reads > 2 || len(store.blobs)-blobs > 2 {
		t.Errorf("one change read %d segments and wrote %d files", store.reads, len(store.blobs)-blobs)
	}
	store.reads = 0
	var got []string
	for d, err := range manifest.Diff(m, edited) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Path())
	}
	if diff := cmp.Diff([]string{"pool/100000"}, got); diff != "" {
		t.Error(diff)
	}
	if store.reads > 2 {
		t.Errorf("the difference read %d segments, want 2", store.reads)
	}
}

func TestLookupAndUnder(t *testing.T) {
	store := newMemory()
	model := map[string]manifest.Entry{}
	for i := range 20_000 {
		p := fmt.Sprintf("d%d/%05d", i%7, i)
		model[p] = entry(p, i)
	}
	m := write(t, store, model)
	for _, p := range []string{"d0/00000", "d5/19997", "d3/00003"} {
		e, ok, err := m.Lookup(p)
		if err != nil || !ok || e != model[p] {
			t.Errorf("lookup %s: %v %v %v", p, e, ok, err)
		}
	}
	for _, p := range []string{"", "a", "d0/", "d3/00004", "zzz"} {
		if _, ok, err := m.Lookup(p); ok || err != nil {
			t.Errorf("lookup %q: found %v, %v", p, ok, err)
		}
	}
	n := 0
	for e, err := range m.Under("d3/") {
		if err != nil || e.Path[:3] != "d3/" {
			t.Fatal(e, err)
		}
		n++
	}
	if n != 2857 {
		t.Errorf("under d3/: %d entries, want 2857", n)
	}
}

func TestMergeFirstWins(t *testing.T) {
	a := []manifest.Entry{entry("a", 1), entry("c", 1)}
	b := []manifest.Entry{entry("b", 2), entry("c", 2), entry("d", 2)}
	c := []manifest.Entry{entry("0", 3), entry("d", 3), entry("e", 3)}
	var got []string
	for e, err := range manifest.Merge(seq(a), seq(b), seq(c)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Path, e.Size))
	}
	if diff := cmp.Diff([]string{"03", "a1", "b2", "c1", "d2", "e3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	store := newMemory()
	for name, entries := range map[string][]manifest.Entry{
		"unsorted":  {entry("b", 1), entry("a", 1)},
		"duplicate": {entry("a", 1), entry("a", 2)},
		"newline":   {entry("a\nb", 1)},
		"empty":     {entry("", 1)},
	} {
		if _, err := manifest.Write(store, seq(entries)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	m := write(t, store, map[string]manifest.Entry{"a": entry("a", 1)})
	store.blobs[m.Segments()[0]] = []byte("o tampered\n")
	if _, _, err := m.Lookup("a"); err == nil {
		t.Error("a tampered segment was read")
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(entry("pool/a", 1).AppendText(nil))
	f.Add([]byte("o 00 1 x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := manifest.ParseEntry(line)
		if err != nil {
			return
		}
		again, err := manifest.ParseEntry(e.AppendText(nil)[:len(e.AppendText(nil))-1])
		if err != nil || again != e {
			t.Fatalf("%q: %v, %v", line, again, err)
		}
	})
}

func TestChildren(t *testing.T) {
	model := map[string]manifest.Entry{}
	for i := range 20000 {
		p := fmt.Sprintf("big/%05d", i)
		model[p] = entry(p, 1)
	}
	for _, p := range []string{"a", "big-file", "big0", "c/d/e", "c/f", "c/f.g"} {
		model[p] = entry(p, 1)
	}
	store := newMemory()
	m := write(t, store, model)
	for dir, want := range map[string][]string{"": {"a", "big-file", "big", "big0", "c"}, "c": {"d", "f", "f.g"}, "c/d": {"e"}, "none": nil} {
		var got []string
		for name, err := range m.Children(dir) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("children of %q (-want +got):\n%s", dir, diff)
		}
	}
}

// TestDamagedRootIsRefused: a root that lost its end reads as a shorter list,
// and what is behind it would be taken for removed.
func TestDamagedRootIsRefused(t *testing.T) {
	s := newMemory()
	model := map[string]manifest.Entry{}
	for i := range 20_000 {
		p := fmt.Sprintf("pool/%05d", i)
		model[p] = entry(p, i)
	}
	m := write(t, s, model)
	whole := s.blobs[m.ID()]
	for name, data := range map[string][]byte{"empty": {}, "without its last line": whole[:bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1], "another one": s.blobs[m.Segments()[0]]} {
		s.blobs[m.ID()] = data
		if _, err := manifest.Open(s, m.ID()); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%s: got %v, want corrupt", name, err)
		}
	}
}
