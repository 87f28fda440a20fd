package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// file is one file as it is served.
type file struct {
	data     []byte
	media    string
	etag     string
	serial   int64     // of a page of the index
	modified time.Time // zero: no Last-Modified
	dropped  int       // the step that no longer names it, 0 if it is current
}

func newFile(data []byte, media string) file {
	sum := sha256.Sum256(data)
	return file{data: data, media: media, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// lingers returns for how many steps a file is served after it was dropped: an
// archive keeps the indexes of its last generations by hash, a package index its
// blobs. Packages of the archive go with the next step.
func lingers(name string) int {
	switch {
	case strings.Contains(name, "/by-hash/"), strings.HasPrefix(name, "/pypi/packages/"):
		return 10
	case strings.HasPrefix(name, "/debian/pool/"):
		return 1
	}
	return 0
}
