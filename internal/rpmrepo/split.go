package rpmrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Split cuts a document into its head and elements of one name, byte for byte,
// for a document that has only some of them. It looks at nothing else: whoever
// writes a new document of the parts reads that with the reader of its format.
type Split struct {
	Head []byte // up to the first element
	s    *scanner
	open []byte
	end  []byte
}

// NewSplit reads the head; elements have an attribute, as those of repomd.xml
// ("data") and of lists of packages ("package") do.
func NewSplit(r io.Reader, element string) (*Split, error) {
	p := &Split{s: newScanner(r), open: []byte("<" + element + " "), end: []byte("</" + element + ">")}
	n, err := p.s.find(0, p.open)
	switch {
	case err == io.EOF: // there is none
		p.Head = bytes.Clone(p.s.buf[p.s.start:p.s.end])
		p.s.start = p.s.end
		if i := bytes.LastIndex(p.Head, []byte("</")); i >= 0 {
			p.Head = p.Head[:i]
		}
		return p, nil
	case err != nil:
		return nil, explain(element, err)
	}
	n -= len(p.open)
	p.Head = bytes.Clone(p.s.buf[p.s.start : p.s.start+n])
	p.s.start += n
	return p, nil
}

// Next returns the next element, which holds until the call after it, and io.EOF after the last.
func (p *Split) Next() ([]byte, error) {
	n, err := p.s.find(0, p.open)
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, explain("list", err)
	}
	p.s.start += n - len(p.open)
	if n, err = p.s.find(0, p.end); err != nil {
		return nil, explain("list", cut(err))
	}
	out := p.s.buf[p.s.start : p.s.start+n]
	p.s.start += n
	return out, nil
}

// Attr returns an attribute of the tag that an element begins with.
func Attr(element []byte, name string) string {
	i := bytes.IndexByte(element, '>')
	j := bytes.IndexByte(element, ' ')
	if i < 0 || j < 0 || j > i {
		return ""
	}
	return token{rest: element[j:i]}.attr(name)
}

var (
	counted  = regexp.MustCompile(` packages="[0-9]*"`)
	rootName = regexp.MustCompile(`(?s)\A\s*(?:<\?.*?\?>|<!--.*?-->|\s)*<([A-Za-z:]+)`)
)

// Frame returns what stands before and behind n elements: the head with its
// count of packages set, and the end of the root.
func (p *Split) Frame(n int) (head, tail []byte, err error) {
	root := rootName.FindSubmatch(p.Head)
	if root == nil {
		return nil, nil, malformed("list", errors.New("it has no root"))
	}
	return counted.ReplaceAll(p.Head, fmt.Appendf(nil, ` packages="%d"`, n)), fmt.Appendf(nil, "</%s>\n", root[1]), nil
}
