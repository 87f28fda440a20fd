package rpmrepo

import (
	"crypto/md5"  // #nosec G501 -- old repositories name their files by it
	"crypto/sha1" // #nosec G505 -- the same
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
)

// Checksum is a digest as repository metadata writes it. Clients compare the
// hexadecimal digits as text, so only lower case without blanks is one.
type Checksum struct {
	Type string // md5, sha1, sha224, sha256, sha384, sha512
	Hex  string
}

// algorithms lists what librepo takes, by the name that it is written with.
var algorithms = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// ParseChecksum checks a type and its digits. "sha" is an old name of sha1.
func ParseChecksum(kind, hex string) (Checksum, error) {
	kind = strings.ToLower(kind)
	if kind == "sha" {
		kind = "sha1"
	}
	c := Checksum{kind, hex}
	h := c.New()
	if h == nil {
		return c, fmt.Errorf("checksum of unknown type %.40q", kind)
	}
	if len(hex) != 2*h.Size() || strings.Trim(hex, "0123456789abcdef") != "" {
		return c, fmt.Errorf("%s %.140q is not a digest in lower-case hexadecimal", kind, hex)
	}
	return c, nil
}

// New returns a hash of the checksum's type, nil if it is unknown.
func (c Checksum) New() hash.Hash {
	if f := algorithms[c.Type]; f != nil {
		return f()
	}
	return nil
}

// IsZero reports whether there is no checksum.
func (c Checksum) IsZero() bool { return c == Checksum{} }

// String returns the type and the digits: "sha512:…".
func (c Checksum) String() string { return c.Type + ":" + c.Hex }

// ReadChecksum is the inverse of String.
func ReadChecksum(s string) (Checksum, error) {
	kind, hex, _ := strings.Cut(s, ":")
	return ParseChecksum(kind, hex)
}
