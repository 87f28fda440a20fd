package manifest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"

	"mirrorcycle/internal/fault"
)

// A segment ends after an entry whose path hashes to a multiple of 1<<boundaryBits,
// and at the latest after maxSegment entries, so that no choice of names can make one huge.
const (
	boundaryBits = 12
	maxSegment   = 1 << 15
)

// Change sets (or, with Remove, takes away) the entry of a path.
type Change struct {
	Entry
	Remove bool
}

// Write stores the entries, which must come by strictly ascending path, as a new manifest.
func Write(store Store, entries iter.Seq2[Entry, error]) (*Manifest, error) {
	w := writer{store: store}
	for e, err := range entries {
		if err == nil {
			err = w.add(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return w.finish()
}

// Edit stores base with the changes, which must come by strictly ascending
// path. Segments without a change are taken over unread; the result is the one
// that Write would give for the same entries.
func Edit(base *Manifest, changes iter.Seq2[Change, error]) (*Manifest, error) {
	next, stop := iter.Pull2(changes)
	defer stop()
	ed := editor{writer: writer{store: base.store}, next: next}
	if err := ed.advance(); err != nil {
		return nil, err
	}
	for i := range base.segments {
		if err := ed.segment(base, i); err != nil {
			return nil, err
		}
	}
	if _, err := ed.insertUpTo("", true); err != nil {
		return nil, err
	}
	return ed.finish()
}

type editor struct {
	writer
	next func() (Change, error, bool)
	cur  Change
	more bool
}

func (ed *editor) advance() error {
	prev, had := ed.cur.Path, ed.more
	c, err, ok := ed.next()
	if ok && err != nil {
		return err
	}
	if ok && had && c.Path <= prev {
		return fmt.Errorf("manifest: edit %q after %q: %w: changes must be sorted and unique", c.Path, prev, fault.Malformed)
	}
	ed.cur, ed.more = c, ok
	return nil
}

// segment merges segment i of base with the changes that fall into it.
func (ed *editor) segment(base *Manifest, i int) error {
	last := i+1 == len(base.segments)
	touched := ed.more && (last || ed.cur.Path < base.segments[i+1].first)
	if !touched && len(ed.buf) == 0 {
		ed.reuse(base.segments[i])
		return nil
	}
	data, err := base.read(i)
	if err != nil {
		return err
	}
	for ls := (lines{data}); ; {
		l, more, err := ls.next()
		if !more || err != nil {
			return err
		}
		replaced := false
		if ed.more && ed.cur.Path <= string(l.path) {
			replaced, err = ed.insertUpTo(string(l.path), false)
		}
		if err == nil && !replaced {
			err = ed.copy(l)
		}
		if err != nil {
			return err
		}
	}
}

// insertUpTo applies the changes up to and including limit, or all of them, and
// reports whether one of them was for limit itself.
func (ed *editor) insertUpTo(limit string, all bool) (hit bool, err error) {
	for ed.more && (all || ed.cur.Path <= limit) {
		hit = ed.cur.Path == limit
		if !ed.cur.Remove {
			if err := ed.add(ed.cur.Entry); err != nil {
				return hit, err
			}
		}
		if err := ed.advance(); err != nil {
			return hit, err
		}
	}
	return hit, nil
}

type writer struct {
	store    Store
	segments []segment
	buf      []byte
	cur      segment
	count    int
	last     []byte // the path of the last entry
	path     []byte // of the one that is added, reused
}

func (w *writer) add(e Entry) error {
	if err := check(e); err != nil {
		return fmt.Errorf("manifest: write %q: %w: %w", e.Path, fault.Malformed, err)
	}
	w.path = append(w.path[:0], e.Path...)
	from := len(w.buf)
	w.buf = e.AppendText(w.buf)
	return w.added(from, w.path, e.Kind, e.Size)
}

// copy adds an entry of another manifest as it is.
func (w *writer) copy(l line) error {
	from := len(w.buf)
	w.buf = append(append(w.buf, l.text...), '\n')
	return w.added(from, l.path, l.kind, l.size)
}

// added notes the entry that was appended to buf behind from, and ends the
// segment where its path says so.
func (w *writer) added(from int, path []byte, kind Kind, size int64) error {
	if bytes.Compare(path, w.last) <= 0 {
		return fmt.Errorf("manifest: write %q after %q: %w: entries must be sorted and unique", path, w.last, fault.Malformed)
	}
	if from == 0 {
		w.cur = segment{first: string(path)}
	}
	w.cur.totals.add(kind, size)
	w.last = append(w.last[:0], path...)
	w.count++
	if boundary(path) || w.count >= maxSegment {
		return w.flush()
	}
	return nil
}

func (w *writer) reuse(s segment) {
	w.segments = append(w.segments, s)
	w.last = append(w.last[:0], s.first...) // the next entry is above it: it comes from a later segment
}

func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	w.cur.digest = sha256.Sum256(w.buf)
	if err := w.store.WriteSegment(w.cur.digest, w.buf); err != nil {
		return fmt.Errorf("manifest: write segment: %w", err)
	}
	w.segments = append(w.segments, w.cur)
	w.buf, w.count = w.buf[:0], 0
	return nil
}

func (w *writer) finish() (*Manifest, error) {
	if err := w.flush(); err != nil {
		return nil, err
	}
	if len(w.segments) == 0 {
		return Open(w.store, ID{})
	}
	var root []byte
	for _, s := range w.segments {
		root = s.append(root)
	}
	id := sha256.Sum256(root)
	if err := w.store.WriteSegment(id, root); err != nil {
		return nil, fmt.Errorf("manifest: write root: %w", err)
	}
	return &Manifest{id: id, store: w.store, segments: w.segments}, nil
}

// boundary hashes path by FNV-1a and looks at well-mixed high bits.
func boundary(path []byte) bool {
	h := uint64(14695981039346656037)
	for i := range len(path) {
		h = (h ^ uint64(path[i])) * 1099511628211
	}
	h ^= h >> 29
	h *= 0x9e3779b97f4a7c15
	return h>>(64-boundaryBits) == 0
}
