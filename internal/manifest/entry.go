// Package manifest keeps sorted, segmented lists of files and finds the difference between two.
//
// A manifest is a root (a list of segments) and segments of about 4,000
// entries, each stored under the SHA-256 of its own bytes. Segments end at
// boundaries that the paths themselves choose, so an edit of one entry changes
// one segment and the root, and two manifests differ only where their segments
// differ. The package is pure: bytes are kept by a Store.
//
// Glossary: an entry is one file (or one row of an engine's table); an index
// is a file whose content changes under one name; an object never changes
// while it is referred to, perhaps by an index of another mirror (foreign); the rank of an index says how late it is published.
package manifest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"mirrorcycle/internal/fault"
)

// Digest is a SHA-256.
type Digest [32]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 64 {
		return d, fmt.Errorf("manifest: digest %q: %w: want 64 hexadecimal digits", s, fault.Malformed)
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return d, fmt.Errorf("manifest: digest %q: %w", s, fault.Malformed)
	}
	return d, nil
}

// Kind tells objects from indexes, and for an index how late it is published.
type Kind byte

// The kinds. Indexes are renamed into place in ascending rank; the pointer
// file of a format (InRelease, repomd.xml, the root page) has the last one.
const (
	Object  Kind = 'o'
	Row     Kind = 'r' // a row of an engine's table, not a file
	Foreign Kind = 'f' // an object of another mirror that an index of this one names, not a file of this tree
	Index1  Kind = '1'
	Index2  Kind = '2'
	Index3  Kind = '3'
	Pointer Kind = '9'
)

// IsIndex reports whether the file's content may change under its name.
func (k Kind) IsIndex() bool { return k >= '1' && k <= '9' }

// IsFile reports whether the entry is a file of the tree.
func (k Kind) IsFile() bool { return k == Object || k.IsIndex() }

func (k Kind) valid() bool { return k.IsFile() || k == Row || k == Foreign }

const foreignDir = ".foreign/"

// ForeignPath is the path of the entry that refers to an object of another mirror.
func ForeignPath(mirror, path string) string { return foreignDir + mirror + "/" + path }

// SplitForeign is the inverse of ForeignPath.
func SplitForeign(p string) (mirror, path string, ok bool) {
	rest, ok := strings.CutPrefix(p, foreignDir)
	if ok {
		mirror, path, ok = strings.Cut(rest, "/")
	}
	return mirror, path, ok && mirror != "" && path != ""
}

// Entry is one file: path relative to the tree, size in bytes, SHA-256.
// Note is an engine's own short remark on a row; it is empty for files.
type Entry struct {
	Path   string
	Kind   Kind
	Size   int64
	Digest Digest
	Note   string
}

// AppendText appends the entry's line: kind, digest, size, path and note, tab-separated.
func (e Entry) AppendText(b []byte) []byte {
	b = append(b, byte(e.Kind), ' ')
	b = hex.AppendEncode(b, e.Digest[:])
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Size, 10)
	b = append(b, ' ')
	b = append(b, e.Path...)
	if e.Note != "" {
		b = append(b, '\t')
		b = append(b, e.Note...)
	}
	return append(b, '\n')
}

// ParseEntry reads one line without its newline.
func ParseEntry(line []byte) (Entry, error) {
	var e Entry
	bad := func(what string) (Entry, error) {
		return Entry{}, fmt.Errorf("manifest: line %.80q: %w: %s", line, fault.Malformed, what)
	}
	if len(line) < 70 || line[1] != ' ' || line[66] != ' ' {
		return bad("want kind, digest, size, path")
	}
	if e.Kind = Kind(line[0]); !e.Kind.valid() {
		return bad("unknown kind")
	}
	if _, err := hex.Decode(e.Digest[:], line[2:66]); err != nil {
		return bad("digest is not hexadecimal")
	}
	size, rest, ok := bytes.Cut(line[67:], []byte{' '})
	if !ok {
		return bad("no path")
	}
	n, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil || n < 0 {
		return bad("size is not a number")
	}
	e.Size = n
	path, note, _ := bytes.Cut(rest, []byte{'\t'})
	e.Path, e.Note = string(path), string(note)
	if err := check(e); err != nil {
		return bad(err.Error())
	}
	return e, nil
}

// check refuses what a line cannot hold.
func check(e Entry) error {
	if e.Path == "" {
		return fmt.Errorf("empty path")
	}
	if strings.ContainsFunc(e.Path, isControl) || strings.ContainsFunc(e.Note, isControl) {
		return fmt.Errorf("control character in path or note")
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// Compare orders entries by path, bytewise.
func Compare(a, b Entry) int { return strings.Compare(a.Path, b.Path) }
