package fetch

import (
	"crypto/md5"  // #nosec G501 -- what some indexes name their files by
	"crypto/sha1" // #nosec G505 -- the same
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

// NewChecksum returns the hash of a Request.Checksum, nil if it is of an unknown
// algorithm or of another length.
func NewChecksum(checksum string) hash.Hash {
	name, digits, _ := strings.Cut(checksum, ":")
	algorithm := map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha384": sha512.New384}[name]
	if algorithm == nil {
		return nil
	}
	h := algorithm()
	if len(digits) != 2*h.Size() {
		return nil
	}
	return h
}
