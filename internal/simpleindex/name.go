package simpleindex

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"mirrorcycle/internal/fault"
)

// maxName is the longest project name in bytes; the index upstream allows 100 or so.
const maxName = 214

// Normalize returns the name by which a project is looked up (PEP 503).
func Normalize(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if n := b.Len(); n == 0 || b.String()[n-1] != '-' {
				b.WriteByte('-')
			}
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ValidName reports whether name may be a project's: ASCII letters, digits, "-",
// "_" and ".", beginning and ending with a letter or digit (PEP 508). Such a
// name, normalised, is a safe path element.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && (i == 0 || i == len(name)-1 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// checkFilename accepts a single safe path element.
func checkFilename(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "empty"
	case len(name) > 245: // room for ".metadata" within NAME_MAX
		reason = "too long"
	case name[0] == '.':
		reason = "begins with a dot"
	case !utf8.ValidString(name):
		reason = "not UTF-8"
	case strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c == 0x7f || c == '/' || c == '\\' }):
		reason = "separator or control character"
	default:
		return nil
	}
	return &fault.Error{Kind: fault.Hostile, Op: "simpleindex: check file name", Subject: fmt.Sprintf("%.100q", name), Err: fmt.Errorf("%s", reason)}
}
