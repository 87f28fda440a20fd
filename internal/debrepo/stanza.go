package debrepo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"mirrorcycle/internal/fault"
)

const (
	lineBuffer = 64 << 10 // longest line whose value can be used, in bytes
	maxLine    = 4 << 20  // longest line passed over, in bytes; the longest Provides of Debian is 40 kB
	maxStanza  = 16 << 20 // longest stanza, in bytes
)

// lineKind says what a line of a deb822 file is.
type lineKind int

const (
	fieldLine    lineKind = iota // "Field: value"
	continueLine                 // " more of the field above"
	endLine                      // empty: the stanza is over
)

// line is one line; its slices are valid until the next one is read.
type line struct {
	kind  lineKind
	name  []byte
	value []byte // without surrounding blanks
	cut   bool   // the line was longer than lineBuffer and value is not whole
}

// scanner reads deb822 (Debian policy 5.1) line by line without holding a stanza.
type scanner struct {
	r      *bufio.Reader
	number int // of the line last read
	stanza int // bytes of the stanza so far
}

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReaderSize(r, lineBuffer)} }

// next returns io.EOF at the end of the input.
func (s *scanner) next() (line, error) {
	raw, err := s.r.ReadSlice('\n')
	length, cut := len(raw), false
	if errors.Is(err, bufio.ErrBufferFull) {
		cut = true
		// The rest of the line would overwrite the buffer that raw points into.
		raw = bytes.Clone(raw[:min(len(raw), 4<<10)])
		for errors.Is(err, bufio.ErrBufferFull) && length <= maxLine {
			var more []byte
			more, err = s.r.ReadSlice('\n')
			length += len(more)
		}
	}
	if length == 0 && errors.Is(err, io.EOF) {
		return line{}, io.EOF
	}
	s.number++
	s.stanza += length
	switch {
	case length > maxLine:
		return line{}, s.fail(fault.Hostile, "line longer than 4 MiB")
	case s.stanza > maxStanza:
		return line{}, s.fail(fault.Hostile, "stanza longer than 16 MiB")
	case err != nil && !errors.Is(err, io.EOF):
		return line{}, err
	}
	return s.split(raw, cut)
}

func (s *scanner) split(raw []byte, cut bool) (line, error) {
	if n := len(raw); n > 0 && raw[n-1] == '\n' {
		raw = raw[:n-1]
	}
	if n := len(raw); n > 0 && raw[n-1] == '\r' {
		raw = raw[:n-1]
	}
	if len(raw) == 0 {
		s.stanza = 0
		return line{kind: endLine}, nil
	}
	if raw[0] == ' ' || raw[0] == '\t' {
		return line{kind: continueLine, value: trim(raw), cut: cut}, nil
	}
	colon := bytes.IndexByte(raw, ':')
	if colon <= 0 || raw[0] == '#' || raw[0] == '-' {
		return line{}, s.fail(fault.Malformed, "neither a field nor a continuation")
	}
	return line{kind: fieldLine, name: raw[:colon], value: trim(raw[colon+1:]), cut: cut}, nil
}

func (s *scanner) fail(kind fault.Kind, format string, args ...any) error {
	return &fault.Error{Kind: kind, Op: "debrepo: read stanza", Subject: fmt.Sprintf("line %d", s.number),
		Err: fmt.Errorf(format, args...)}
}

// trim drops blanks at both ends. bytes.TrimSpace would do the same with more work.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// readError keeps a fault as it is and calls any other failure of a reader
// malformed: what could not be read to its end is not what it claims to be.
func readError(op string, err error) error {
	if fault.KindOf(err) != "" {
		return err
	}
	return &fault.Error{Kind: fault.Malformed, Op: op, Err: err}
}

// parseSize reads a size in bytes; it refuses signs, blanks and what does not fit.
func parseSize(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
