package manifest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"
	"sync"

	"mirrorcycle/internal/fault"
)

// Store keeps segments under the SHA-256 of their bytes.
// ReadSegment returns exactly the bytes of that digest or an error.
// WriteSegment of a digest that is already there does nothing.
type Store interface {
	ReadSegment(d Digest) ([]byte, error)
	WriteSegment(d Digest, data []byte) error
}

// ID names a manifest: the SHA-256 of its root. The zero ID is the empty manifest.
type ID = Digest

// Totals counts a manifest's objects, indexes and their sizes in bytes.
type Totals struct {
	Objects     int64 `json:"objects"`
	ObjectBytes int64 `json:"object_bytes"`
	Indexes     int64 `json:"indexes"`
	IndexBytes  int64 `json:"index_bytes"`
}

func (t *Totals) add(kind Kind, size int64) {
	switch {
	case kind == Foreign:
		return
	case kind.IsIndex():
		t.Indexes++
		t.IndexBytes += size
		return
	}
	t.Objects++
	t.ObjectBytes += size
}

func (t *Totals) merge(o Totals) {
	t.Objects += o.Objects
	t.ObjectBytes += o.ObjectBytes
	t.Indexes += o.Indexes
	t.IndexBytes += o.IndexBytes
}

// segment is one line of a root.
type segment struct {
	digest Digest
	totals Totals
	first  string
}

// Manifest is an opened root; its segments are read when they are needed. Its
// methods may be called from several goroutines.
type Manifest struct {
	id       ID
	store    Store
	segments []segment

	mu   sync.Mutex
	hand window // what the last look-up read
}

// Open reads the root id. The zero ID opens the empty manifest.
func Open(store Store, id ID) (*Manifest, error) {
	m := &Manifest{id: id, store: store}
	if id == (ID{}) {
		return m, nil
	}
	data, err := store.ReadSegment(id)
	if err != nil {
		return nil, fmt.Errorf("manifest: open %s: %w", id, err)
	}
	if err := prove("manifest: open", id, data); err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		s, err := parseSegment(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, fmt.Errorf("manifest: open %s: %w", id, err)
		}
		m.segments = append(m.segments, s)
	}
	return m, nil
}

func (s segment) append(b []byte) []byte {
	return fmt.Appendf(b, "%s %d %d %d %d %s\n", s.digest, s.totals.Objects, s.totals.ObjectBytes,
		s.totals.Indexes, s.totals.IndexBytes, s.first)
}

func parseSegment(line string) (segment, error) {
	var s segment
	f := strings.SplitN(line, " ", 6)
	if len(f) != 6 || f[5] == "" {
		return s, fmt.Errorf("root line %.80q: %w", line, fault.Malformed)
	}
	var err error
	if s.digest, err = ParseDigest(f[0]); err != nil {
		return s, err
	}
	for i, p := range []*int64{&s.totals.Objects, &s.totals.ObjectBytes, &s.totals.Indexes, &s.totals.IndexBytes} {
		if *p, err = strconv.ParseInt(f[i+1], 10, 64); err != nil || *p < 0 {
			return s, fmt.Errorf("root line %.80q: %w", line, fault.Malformed)
		}
	}
	s.first = f[5]
	return s, nil
}

// ID returns the manifest's name.
func (m *Manifest) ID() ID { return m.id }

// Totals sums up the manifest without reading its segments.
func (m *Manifest) Totals() Totals {
	var t Totals
	for _, s := range m.segments {
		t.merge(s.totals)
	}
	return t
}

// Segments returns the digests of the manifest's segments, without the root.
func (m *Manifest) Segments() []Digest {
	out := make([]Digest, len(m.segments))
	for i, s := range m.segments {
		out[i] = s.digest
	}
	return out
}

// All yields every entry by ascending path, holding one segment at a time.
func (m *Manifest) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for i := range m.segments {
			data, err := m.read(i)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !each(data, "", yield) {
				return
			}
		}
	}
}

// Under yields the entries whose path begins with prefix. It reads those
// blocks that hold them.
func (m *Manifest) Under(prefix string) iter.Seq2[Entry, error] { return m.from(prefix, prefix) }

// Children yields the names right below the directory dir, "" for the top, by
// ascending path: of a subdirectory its name once, however much is in it.
func (m *Manifest) Children(dir string) iter.Seq2[string, error] {
	prefix := dir
	if dir != "" {
		prefix += "/"
	}
	return func(yield func(string, error) bool) {
		start := m.children(prefix, prefix, yield)
		for start != "" {
			start = m.children(prefix, start, yield)
		}
	}
}

// skip is how many entries of a subdirectory are read over before the next
// child is looked for.
const skip = 2 * blockLines

// children goes on from start, and returns where to go on if it left a large
// subdirectory, "" at the end.
func (m *Manifest) children(prefix, start string, yield func(string, error) bool) string {
	last, seen := "", 0
	for e, err := range m.from(start, prefix) {
		if err != nil {
			yield("", err)
			return ""
		}
		rest := strings.TrimPrefix(e.Path, prefix)
		name, _, nested := strings.Cut(rest, "/")
		if name == last {
			if seen++; seen > skip {
				return prefix + name + "0" // the first path behind name + "/"
			}
			continue
		}
		last, seen = name, 0
		if !yield(name, nil) {
			return ""
		}
		if nested {
			seen++
		}
	}
	return ""
}

// from yields the entries at and above start, which begins with prefix, as
// long as they begin with prefix.
func (m *Manifest) from(start, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		inside := func(e Entry, err error) bool {
			return (err != nil || strings.HasPrefix(e.Path, prefix)) && yield(e, err)
		}
		first := m.find(start)
		for i := first; i < len(m.segments); i++ {
			if i > first && !strings.HasPrefix(m.segments[i].first, prefix) {
				return
			}
			w, err := m.around(i, start)
			for more := true; more; w, more, err = m.after(w) {
				if err == nil && !each(w.data, start, inside) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}

// each yields the entries of data, a part of a segment, from start on. It
// reports whether yield wants more.
func each(data []byte, start string, yield func(Entry, error) bool) bool {
	if start != "" {
		_, begin, _, err := search(data, start)
		if err != nil {
			yield(Entry{}, err)
			return false
		}
		data = data[begin:]
	}
	for text := range bytes.Lines(data) {
		e, err := ParseEntry(bytes.TrimSuffix(text, []byte{'\n'}))
		if !yield(e, err) || err != nil {
			return false
		}
	}
	return true
}

// Lookup finds the entry of path. It reads one block of a segment that this
// process proved before. Look-ups by ascending path are cheapest: each block
// is read once.
func (m *Manifest) Lookup(path string) (Entry, bool, error) {
	if len(m.segments) == 0 {
		return Entry{}, false, nil
	}
	w, err := m.around(m.find(path), path)
	if err != nil {
		return Entry{}, false, err
	}
	l, _, ok, err := search(w.data, path)
	if err != nil || !ok || string(l.path) != path {
		return Entry{}, false, err
	}
	e, err := ParseEntry(l.text)
	return e, err == nil, err
}

// find returns the segment that would hold path.
func (m *Manifest) find(path string) int {
	i := sort.Search(len(m.segments), func(i int) bool { return m.segments[i].first > path })
	return max(i-1, 0)
}

// read reads segment i and checks it against its digest.
func (m *Manifest) read(i int) ([]byte, error) {
	d := m.segments[i].digest
	data, err := m.store.ReadSegment(d)
	if err != nil {
		return nil, readError(d, err)
	}
	return data, prove("manifest: read segment", d, data)
}

func readError(d Digest, err error) error {
	return fmt.Errorf("manifest: read segment %s: %w", d, err)
}

// prove holds what a store has under a digest against it. A root that lost its
// end would read as a shorter list, and the rest be taken for removed.
func prove(op string, d Digest, data []byte) error {
	if sha256.Sum256(data) == d {
		return nil
	}
	return corrupt(op, d)
}
