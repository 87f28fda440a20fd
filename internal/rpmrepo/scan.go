package rpmrepo

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxToken bounds one tag or one text, in bytes; changelogs and descriptions have some 100 kB.
const maxToken = 16 << 20

// scanner cuts XML into tags and texts without building anything: metadata of
// 200 MB is read as fast as it is unpacked. It knows as much of XML as documents
// without a DTD need, and holds one token at a time.
type scanner struct {
	r          io.Reader
	buf        []byte
	start, end int
	err        error
	depth      int
}

type token struct {
	kind tokenKind
	name []byte // with its prefix
	rest []byte // attributes of a start tag; a text
}

type tokenKind byte

const (
	startTag tokenKind = iota
	endTag
	emptyTag // <a/>, a start and an end in one
	text
)

// maxDepth is deeper than any metadata nests.
const maxDepth = 64

func newScanner(r io.Reader) *scanner { return &scanner{r: r, buf: make([]byte, 128<<10)} }

var (
	errToken  = errors.New("a tag or text longer than 16 MiB")
	errDepth  = errors.New("nested more than 64 deep")
	errSyntax = errors.New("not well-formed")
)

// more reads on, keeping what has not been taken.
func (s *scanner) more() error {
	if s.err != nil {
		return s.err
	}
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.start, s.end = 0, s.end-s.start
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxToken {
			return errToken
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// find returns the offset behind the next mark, reading on as needed.
func (s *scanner) find(from int, mark []byte) (int, error) {
	for {
		if i := bytes.Index(s.buf[s.start+from:s.end], mark); i >= 0 {
			return from + i + len(mark), nil
		}
		from = max(from, s.end-s.start-len(mark)+1)
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}

// next returns the next tag or non-empty text. Its slices hold until the next call.
func (s *scanner) next() (token, error) {
	for {
		for s.start == s.end {
			if err := s.more(); err != nil {
				return token{}, s.over(err)
			}
		}
		if s.buf[s.start] != '<' {
			n, err := s.find(0, []byte{'<'})
			if err == io.EOF && s.depth == 0 && len(bytes.TrimSpace(s.buf[s.start:s.end])) == 0 {
				return token{}, io.EOF
			}
			if err != nil {
				return token{}, cut(err)
			}
			t := token{kind: text, rest: s.buf[s.start : s.start+n-1]}
			s.start += n - 1
			return t, nil
		}
		t, skip, err := s.tag()
		if err != nil || !skip {
			return t, err
		}
	}
}

// over is what the end of the input means.
func (s *scanner) over(err error) error {
	if err == io.EOF && s.depth == 0 {
		return io.EOF
	}
	return cut(err)
}

func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tag reads what begins with "<"; comments and instructions are to be skipped.
func (s *scanner) tag() (t token, skip bool, err error) {
	for s.end-s.start < 9 && s.err == nil { // as long as the longest mark, if there is as much
		if err := s.more(); err != nil {
			break
		}
	}
	head := s.buf[s.start:s.end]
	switch {
	case bytes.HasPrefix(head, []byte("<!--")):
		return s.pass(4, "-->")
	case bytes.HasPrefix(head, []byte("<?")):
		return s.pass(2, "?>")
	case bytes.HasPrefix(head, []byte("<![CDATA[")):
		n, err := s.find(9, []byte("]]>"))
		if err != nil {
			return t, false, cut(err)
		}
		s.start += n
		return t, true, nil // descriptions; no location or checksum is written so
	case bytes.HasPrefix(head, []byte("<!")):
		return t, false, errNoDTD
	}
	n, err := s.close()
	if err != nil {
		return t, false, cut(err)
	}
	body := s.buf[s.start+1 : s.start+n-1]
	s.start += n
	return s.named(body)
}

func (s *scanner) pass(from int, mark string) (token, bool, error) {
	n, err := s.find(from, []byte(mark))
	if err == nil {
		s.start += n
	}
	return token{}, true, cut(err)
}

// close returns the length of the tag at hand; ">" may stand in quotes.
func (s *scanner) close() (int, error) {
	for from := 1; ; {
		n, err := s.find(from, []byte{'>'})
		if err != nil {
			return 0, err
		}
		if body := s.buf[s.start : s.start+n]; !inQuotes(body) {
			return n, nil
		}
		from = n
	}
}

// inQuotes reports whether a quotation is open at the end of b.
func inQuotes(b []byte) bool {
	if bytes.IndexByte(b, '\'') < 0 {
		return bytes.Count(b, []byte{'"'})%2 == 1
	}
	var open byte
	for _, c := range b {
		switch {
		case open == 0 && (c == '"' || c == '\''):
			open = c
		case open == c:
			open = 0
		}
	}
	return open != 0
}

func (s *scanner) named(body []byte) (t token, skip bool, err error) {
	switch {
	case len(body) > 0 && body[0] == '/':
		t.kind, t.name = endTag, bytes.TrimRight(body[1:], " \t\r\n")
		s.depth--
	case len(body) > 0 && body[len(body)-1] == '/':
		t.kind, body = emptyTag, body[:len(body)-1]
	default:
		s.depth++
	}
	if s.depth < 0 {
		return t, false, errSyntax
	}
	if s.depth > maxDepth {
		return t, false, errDepth
	}
	if t.kind != endTag {
		t.name = body
		if i := bytes.IndexAny(body, " \t\r\n"); i >= 0 {
			t.name, t.rest = body[:i], body[i:]
		}
	}
	if len(t.name) == 0 {
		return t, false, errSyntax
	}
	return t, false, nil
}

// attr returns the value of an attribute, "" if there is none.
func (t token) attr(name string) string {
	rest := t.rest
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return ""
		}
		key := bytes.TrimSpace(rest[:eq])
		rest = bytes.TrimLeft(rest[eq+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return ""
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return ""
		}
		if string(key) == name {
			return unescape(rest[1 : 1+end])
		}
		rest = rest[end+2:]
	}
}

var named = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&amp;", "&")

// unescape resolves the five entities that need no DTD, and characters by number.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '&') < 0 {
		return string(b)
	}
	if !bytes.Contains(b, []byte("&#")) {
		return named.Replace(string(b))
	}
	var out strings.Builder
	for rest := string(b); rest != ""; {
		before, after, found := strings.Cut(rest, "&#")
		out.WriteString(named.Replace(before))
		if !found {
			break
		}
		digits, tail, _ := strings.Cut(after, ";")
		base := 10
		if hex, ok := strings.CutPrefix(digits, "x"); ok {
			digits, base = hex, 16
		}
		r, err := strconv.ParseUint(digits, base, 21)
		if err != nil || !utf8.ValidRune(rune(r)) {
			r = utf8.RuneError
		}
		out.WriteRune(rune(r))
		rest = tail
	}
	return out.String()
}
