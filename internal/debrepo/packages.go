package debrepo

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"mirrorcycle/internal/fault"
)

// Package is what a mirror needs to know of one stanza of a Packages file.
type Package struct {
	Name         string
	Version      string
	Architecture string
	Filename     string // relative to the archive root, clean
	Size         int64  // bytes
	Hashes       Hashes // SHA256 or SHA512 is there
	// Flaw says why nobody can download the package, "" if it can be: no Filename
	// or no Size, a digest that is none, or none that proves anything. apt reads
	// such a stanza and installs the others.
	Flaw string
}

// ReadPackages yields the stanzas of a Packages file one by one, holding only
// the current one. The first error ends it: a stanza without Package or Version,
// or with a field twice, is fault.Malformed; a Filename that is absolute, leaves the tree or ends in a slash,
// and lines or stanzas beyond all measure are fault.Hostile.
func ReadPackages(r io.Reader) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		s := newScanner(r)
		var st packageStanza
		for {
			l, err := s.next()
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Package{}, readError("debrepo: read packages", err))
				return
			}
			last := err != nil
			switch {
			case last || l.kind == endLine:
				if st.seen {
					p, err := st.finish(s)
					if !yield(p, err) || err != nil {
						return
					}
					st.reset()
				}
				if last {
					return
				}
			default:
				if err := st.add(s, l); err != nil {
					yield(Package{}, err)
					return
				}
			}
		}
	}
}

// wanted numbers the fields of a stanza that are kept.
type wanted int

const (
	wantNone wanted = iota
	wantPackage
	wantVersion
	wantArchitecture
	wantFilename
	wantSize
	wantMD5
	wantSHA1
	wantSHA256
	wantSHA512
	wantCount
)

var wantedNames = [wantCount]string{"", "Package", "Version", "Architecture", "Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"}

// wantedField recognises a field name without regard to case (Debian policy 5.1).
func wantedField(name []byte) wanted {
	switch len(name) {
	case 4: // Size, SHA1
		if equalFold(name, "size") {
			return wantSize
		}
		if equalFold(name, "sha1") {
			return wantSHA1
		}
	case 6:
		switch {
		case equalFold(name, "sha256"):
			return wantSHA256
		case equalFold(name, "md5sum"):
			return wantMD5
		case equalFold(name, "sha512"):
			return wantSHA512
		}
	case 7:
		if equalFold(name, "package") {
			return wantPackage
		}
		if equalFold(name, "version") {
			return wantVersion
		}
	case 8:
		if equalFold(name, "filename") {
			return wantFilename
		}
	case 12:
		if equalFold(name, "architecture") {
			return wantArchitecture
		}
	}
	return wantNone
}

// equalFold compares ASCII without regard to case; lower must be lower case.
func equalFold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// packageStanza gathers the wanted values in one buffer, so that a finished
// stanza costs a single allocation.
type packageStanza struct {
	seen    bool
	current wanted
	buf     []byte
	span    [wantCount][2]int
}

func (st *packageStanza) reset() {
	st.seen, st.current, st.buf = false, wantNone, st.buf[:0]
	st.span = [wantCount][2]int{}
}

func (st *packageStanza) add(s *scanner, l line) error {
	if l.kind == continueLine {
		if !st.seen {
			return s.fail(fault.Malformed, "continuation without a field")
		}
		if st.current != wantNone {
			return s.fail(fault.Malformed, "%s has more than one line", wantedNames[st.current])
		}
		return nil
	}
	st.seen = true
	st.current = wantedField(l.name)
	if st.current == wantNone {
		return nil
	}
	if l.cut || len(l.value) > maxPath+4 {
		return s.fail(fault.Hostile, "%s is too long", wantedNames[st.current])
	}
	if st.span[st.current][1] != 0 {
		return s.fail(fault.Malformed, "%s stands twice in one stanza", wantedNames[st.current])
	}
	start := len(st.buf)
	st.buf = append(st.buf, l.value...)
	if len(l.value) > 0 {
		st.span[st.current] = [2]int{start, len(st.buf)}
	}
	return nil
}

func (st *packageStanza) value(w wanted) []byte { return st.buf[st.span[w][0]:st.span[w][1]] }

func (st *packageStanza) finish(s *scanner) (Package, error) {
	for _, w := range [...]wanted{wantPackage, wantVersion} {
		if st.span[w][1] == 0 {
			return Package{}, s.fail(fault.Malformed, "stanza of package %.80q has no %s", st.value(wantPackage), wantedNames[w])
		}
	}
	size, flaw := st.flaw()
	text := string(st.buf)
	get := func(w wanted) string { return text[st.span[w][0]:st.span[w][1]] }
	p := Package{Name: get(wantPackage), Version: get(wantVersion), Architecture: get(wantArchitecture), Size: size, Flaw: flaw}
	if get(wantFilename) != "" {
		var err error
		if p.Filename, err = objectPath(get(wantFilename)); err != nil {
			return Package{}, err
		}
	}
	if flaw == "" {
		p.Hashes = Hashes{MD5: get(wantMD5), SHA1: get(wantSHA1), SHA256: get(wantSHA256), SHA512: get(wantSHA512)}
	}
	return p, nil
}

// flaw returns the size, and what keeps a stanza from being of use. Digests are
// put into small letters: some archives write them in capitals.
func (st *packageStanza) flaw() (size int64, flaw string) {
	size, ok := parseSize(st.value(wantSize))
	switch {
	case st.span[wantFilename][1] == 0:
		return 0, "no Filename"
	case !ok:
		return 0, fmt.Sprintf("Size %.40q", st.value(wantSize))
	}
	for w := wantMD5; w <= wantSHA512; w++ {
		v := st.value(w)
		lower(v)
		if len(v) > 0 && !validHex(Algorithms[w-wantMD5], v) {
			return 0, fmt.Sprintf("%s %.140q", wantedNames[w], v)
		}
	}
	if st.span[wantSHA256][1] == 0 && st.span[wantSHA512][1] == 0 {
		return 0, "neither SHA256 nor SHA512"
	}
	return size, ""
}
