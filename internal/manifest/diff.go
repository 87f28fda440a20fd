package manifest

import (
	"bytes"
	"errors"
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
// share are skipped unread, and entries that both have are not parsed, so the
// cost is that of the change.
func Diff(a, b *Manifest) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		ca, cb := cursor{m: a}, cursor{m: b}
		for {
			skipEqual(&ca, &cb)
			err := errors.Join(ca.load(), cb.load())
			if err == nil && !ca.more && !cb.more {
				return
			}
			if err == nil && ca.more && cb.more && bytes.Equal(ca.cur.text, cb.cur.text) {
				ca.used, cb.used = true, true
				continue
			}
			var d Delta
			if err == nil {
				d, err = step(&ca, &cb)
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// step consumes the smaller of the two entries, or both where the paths agree.
func step(ca, cb *cursor) (d Delta, err error) {
	order := 0
	switch {
	case !cb.more:
		order = -1
	case !ca.more:
		order = 1
	default:
		order = bytes.Compare(ca.cur.path, cb.cur.path)
	}
	if order <= 0 {
		d.Old, err = ca.take()
	}
	if order >= 0 && err == nil {
		d.New, err = cb.take()
	}
	return d, err
}

// skipEqual passes over segments that both manifests hold while both stand at a beginning.
func skipEqual(a, b *cursor) {
	for a.atStart() && b.atStart() && a.seg < len(a.m.segments) && b.seg < len(b.m.segments) &&
		a.m.segments[a.seg].digest == b.m.segments[b.seg].digest {
		a.seg++
		b.seg++
	}
}

// cursor goes through a manifest line by line.
type cursor struct {
	m    *Manifest
	seg  int // the segment after the loaded one
	rest lines
	cur  line
	more bool // cur is a line
	used bool // cur was passed
}

func (c *cursor) atStart() bool { return (!c.more || c.used) && len(c.rest.rest) == 0 }

// load makes cur the next line that was not passed; more is false at the end.
func (c *cursor) load() (err error) {
	if c.more && !c.used {
		return nil
	}
	c.used = false
	for {
		if c.cur, c.more, err = c.rest.next(); c.more || err != nil || c.seg >= len(c.m.segments) {
			return err
		}
		if c.rest.rest, err = c.m.read(c.seg); err != nil {
			return err
		}
		c.seg++
	}
}

// take passes cur and returns it parsed.
func (c *cursor) take() (*Entry, error) {
	c.used = true
	e, err := ParseEntry(c.cur.text)
	return &e, err
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
