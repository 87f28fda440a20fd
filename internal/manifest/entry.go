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
	l, err := parseLine(line)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: l.kind, Size: l.size, Path: string(l.path)}
	if _, err := hex.Decode(e.Digest[:], line[2:digestEnd]); err != nil {
		return Entry{}, malformed(line, "digest is not hexadecimal")
	}
	if _, note, noted := bytes.Cut(line[digestEnd+1:], []byte{'\t'}); noted {
		e.Note = string(note)
	}
	if err := check(e); err != nil {
		return Entry{}, malformed(line, err.Error())
	}
	return e, nil
}

// check refuses what a line cannot hold.
func check(e Entry) error {
	if e.Path == "" {
		return fmt.Errorf("empty path")
	}
	if hasControl(e.Path) || hasControl(e.Note) {
		return fmt.Errorf("control character in path or note")
	}
	return nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// Compare orders entries by path, bytewise.
func Compare(a, b Entry) int { return strings.Compare(a.Path, b.Path) }
