package manifest

import (
	"iter"
)

// Delta is one difference between two manifests: Old nil is an addition, New
// nil a removal, both set a change of size, digest, kind or note.
type Delta struct {
	Old, New *Entry
}

// Path returns the path that differs.
func (d Delta) Path() string {
	if d.New != nil {
		return d.New.Path
	}
	return d.Old.Path
}

// Diff yields what leads from a to b by ascending path. Segments that both
// share are skipped unread, so the cost is that of the change.
func Diff(a, b *Manifest) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		ca, cb := cursor{m: a}, cursor{m: b}
		for {
			skipEqual(&ca, &cb)
			ea, err := ca.peek()
			if err == nil {
				var eb *Entry
				if eb, err = cb.peek(); err == nil {
					if ea == nil && eb == nil {
						return
					}
					if !step(&ca, &cb, ea, eb, yield) {
						return
					}
					continue
				}
			}
			yield(Delta{}, err)
			return
		}
	}
}

// step consumes the smaller of the two entries, or both where the paths agree.
func step(ca, cb *cursor, ea, eb *Entry, yield func(Delta, error) bool) bool {
	switch {
	case eb == nil || (ea != nil && ea.Path < eb.Path):
		ca.pos++
		return yield(Delta{Old: ea}, nil)
	case ea == nil || eb.Path < ea.Path:
		cb.pos++
		return yield(Delta{New: eb}, nil)
	}
	ca.pos++
	cb.pos++
	return *ea == *eb || yield(Delta{Old: ea, New: eb}, nil)
}

// skipEqual passes over segments that both manifests hold while both stand at a beginning.
func skipEqual(a, b *cursor) {
	for a.atStart() && b.atStart() && a.seg < len(a.m.segments) && b.seg < len(b.m.segments) &&
		a.m.segments[a.seg].digest == b.m.segments[b.seg].digest {
		a.seg++
		b.seg++
	}
}

type cursor struct {
	m       *Manifest
	seg     int     // the segment after the loaded one
	entries []Entry // the loaded segment
	pos     int
}

func (c *cursor) atStart() bool { return c.pos >= len(c.entries) }

func (c *cursor) peek() (*Entry, error) {
	for c.pos >= len(c.entries) {
		if c.seg >= len(c.m.segments) {
			return nil, nil
		}
		entries, err := c.m.read(c.seg)
		if err != nil {
			return nil, err
		}
		c.entries, c.pos = entries, 0
		c.seg++
	}
	return &c.entries[c.pos], nil
}

// Changes returns the edit that leads from the older to the newer side of deltas.
func Changes(deltas iter.Seq2[Delta, error]) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for d, err := range deltas {
			c := Change{}
			if err == nil && d.New != nil {
				c.Entry = *d.New
			} else if err == nil {
				c = Change{Entry: *d.Old, Remove: true}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Merge yields the entries of several sorted sequences in one sorted sequence.
// Where sequences agree on a path, the first of them wins.
func Merge(seqs ...iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	switch len(seqs) {
	case 0:
		return func(func(Entry, error) bool) {}
	case 1:
		return seqs[0]
	}
	return merge2(seqs[0], Merge(seqs[1:]...))
}

func merge2(a, b iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		eb, errb, okb := next()
		for ea, erra := range a {
			for okb && (errb != nil || (erra == nil && eb.Path < ea.Path)) {
				if !yield(eb, errb) || errb != nil {
					return
				}
				eb, errb, okb = next()
			}
			if okb && erra == nil && eb.Path == ea.Path {
				eb, errb, okb = next()
			}
			if !yield(ea, erra) || erra != nil {
				return
			}
		}
		for okb {
			if !yield(eb, errb) || errb != nil {
				return
			}
			eb, errb, okb = next()
		}
	}
}
