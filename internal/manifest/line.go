package manifest

import (
	"bytes"
	"fmt"
	"strconv"

	"mirrorcycle/internal/fault"
)

// line is an entry as it is stored, of which only what order and totals need
// is read: most entries of a segment that is read are passed over or copied.
type line struct {
	text []byte // without its newline; shared with the segment
	path []byte // part of text
	kind Kind
	size int64
}

// digestEnd is where the digest of a line ends: behind it are size, path and note.
const digestEnd = 66

// parseLine finds the parts of one line without its newline. It allocates nothing.
func parseLine(text []byte) (line, error) {
	l := line{text: text}
	if len(text) < digestEnd+4 || text[1] != ' ' || text[digestEnd] != ' ' {
		return l, malformed(text, "want kind, digest, size, path")
	}
	if l.kind = Kind(text[0]); !l.kind.valid() {
		return l, malformed(text, "unknown kind")
	}
	size, rest, ok := bytes.Cut(text[digestEnd+1:], []byte{' '})
	if !ok {
		return l, malformed(text, "no path")
	}
	n, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil || n < 0 {
		return l, malformed(text, "size is not a number")
	}
	l.size = n
	if l.path, _, _ = bytes.Cut(rest, []byte{'\t'}); len(l.path) == 0 {
		return l, malformed(text, "empty path")
	}
	return l, nil
}

func malformed(text []byte, what string) error {
	return fmt.Errorf("manifest: line %.80q: %w: %s", text, fault.Malformed, what)
}

// lines reads one line after the other of a part of a segment.
type lines struct{ rest []byte }

// next returns the next line; ok is false at the end.
func (ls *lines) next() (l line, ok bool, err error) {
	if len(ls.rest) == 0 {
		return line{}, false, nil
	}
	text := ls.rest
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text, ls.rest = text[:i], text[i+1:]
	} else {
		ls.rest = nil
	}
	l, err = parseLine(text)
	return l, err == nil, err
}

// search returns the first line of data, which is sorted, whose path is at or
// above path, and where in data it begins; ok is false if all are below. It
// looks at as many lines as a bisection takes.
func search(data []byte, path string) (l line, begin int, ok bool, err error) {
	lo, hi := 0, len(data) // beginnings of lines: what is before lo is below, what is at hi and after it is not
	for lo < hi {
		mid := lo + (hi-lo)/2
		from := lo + bytes.LastIndexByte(data[lo:mid], '\n') + 1
		to := len(data)
		if i := bytes.IndexByte(data[from:], '\n'); i >= 0 {
			to = from + i
		}
		at, err := parseLine(data[from:to])
		if err != nil {
			return line{}, 0, false, err
		}
		if string(at.path) < path {
			lo = min(to+1, len(data))
		} else {
			l, hi, ok = at, from, true
		}
	}
	return l, hi, ok, nil
}
