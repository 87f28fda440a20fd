package debrepo

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"mirrorcycle/internal/fault"
)

// ReadPdiffs returns the patches that the Index of a directory of pdiffs names,
// compressed as clients download them: names within that directory, sizes and
// SHA-256 digests. An Index that names them only by weaker digests, as old
// archives write it, names none.
func ReadPdiffs(text []byte) ([]File, error) {
	s := newScanner(bytes.NewReader(text))
	var files fileList
	reading := false
	for {
		l, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			return files.files, nil
		case err != nil:
			return nil, readError("debrepo: read pdiffs", err)
		case l.kind == fieldLine:
			reading = bytes.EqualFold(l.name, []byte("SHA256-Download"))
		case l.kind == continueLine && reading:
			if bytes.IndexByte(l.value, '/') >= 0 || l.cut {
				return nil, s.fail(fault.Hostile, "patch %.200q is not one path element", l.value)
			}
			if err := files.add(SHA256, l.value); err != nil {
				return nil, s.fail(fault.KindOf(err), "%w", err)
			}
		}
	}
}

// ReadSums returns the files that a SHA256SUMS names (sha256sum(1)), relative to
// its directory. Their sizes are unknown: -1.
func ReadSums(text []byte) ([]File, error) {
	var out []File
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		digest, name, ok := bytes.Cut(line, []byte(" "))
		digest = bytes.ToLower(digest)
		if !ok || len(name) < 2 || name[0] != ' ' && name[0] != '*' || !validHex(SHA256, digest) {
			return nil, malformed("line %.200q of checksums", line)
		}
		p, err := objectPath(strings.TrimPrefix(string(name[1:]), "./"))
		if err != nil {
			return nil, err
		}
		out = append(out, File{Path: p, Size: -1, Hashes: Hashes{SHA256: string(digest)}})
	}
	return out, nil
}
