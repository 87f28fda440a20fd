package rpmrepo

import (
	"errors"
	"io"
	"iter"
	"strconv"
)

// ReadDeltas yields the delta rpms that an unpacked prestodelta or deltainfo
// names; of a package only Href, Checksum and Size are set. One without a file
// name or checksum is fault.Malformed.
func ReadDeltas(r io.Reader) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		p := primary{s: newScanner(r), root: true}
		for {
			t, err := p.s.next()
			if err == io.EOF {
				return
			}
			if err == nil && (t.kind != startTag || string(t.name) != "delta") {
				continue
			}
			var d Package
			if err == nil {
				d, err = p.delta()
			}
			if err != nil {
				yield(d, explain("delta index", cut(err)))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (p *primary) delta() (Package, error) {
	d := Package{Size: -1}
	var kind, digits, size string
	outside := p.s.depth - 1
	for {
		t, err := p.s.next()
		if err != nil {
			return d, err
		}
		if t.kind == endTag && p.s.depth == outside {
			break
		}
		if t.kind != startTag {
			continue
		}
		switch string(t.name) {
		case "filename":
			d.Href, err = p.text(t)
		case "size":
			size, err = p.text(t)
		case "checksum":
			kind = t.attr("type")
			digits, err = p.text(t)
		}
		if err != nil {
			return d, err
		}
	}
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n >= 0 {
		d.Size = n
	}
	var err error
	if d.Checksum, err = ParseChecksum(kind, digits); err == nil && d.Href == "" {
		err = errors.New("a delta without a file name")
	}
	return d, err
}
