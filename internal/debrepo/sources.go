package debrepo

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
)

// Source is what a mirror needs to know of one stanza of a Sources file.
type Source struct {
	Name    string
	Version string
	Files   []File // paths relative to the archive root, sorted
	Flaw    string // a file without a digest that proves it, which is not among Files; "" if there is none
}

// ReadSources yields the stanzas of a Sources file (Debian policy 5.4) one by
// one. Its errors are those of ReadPackages. A file without a digest in
// Checksums-Sha256 or Checksums-Sha512 is left out of Files.
func ReadSources(r io.Reader) iter.Seq2[Source, error] {
	return func(yield func(Source, error) bool) {
		s := newScanner(r)
		var st sourceStanza
		for {
			l, err := s.next()
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Source{}, readError("debrepo: read sources", err))
				return
			}
			last := err != nil
			if !last && l.kind != endLine {
				if err := st.add(s, l); err != nil {
					yield(Source{}, err)
					return
				}
				continue
			}
			if st.seen {
				src, err := st.finish(s)
				if !yield(src, err) || err != nil {
					return
				}
				st = sourceStanza{}
			}
			if last {
				return
			}
		}
	}
}

type sourceStanza struct {
	seen               bool
	name, version, dir string
	list               Algorithm // whose continuation lines are being read
	files              fileList
}

func (st *sourceStanza) add(s *scanner, l line) error {
	if l.kind == continueLine {
		if st.list == "" {
			return nil
		}
		if l.cut {
			return s.fail(fault.Hostile, "file entry is too long")
		}
		return st.addFile(s, l.value)
	}
	st.seen, st.list = true, ""
	var field *string
	switch {
	case bytes.EqualFold(l.name, []byte("Package")):
		field = &st.name
	case bytes.EqualFold(l.name, []byte("Version")):
		field = &st.version
	case bytes.EqualFold(l.name, []byte("Directory")):
		field = &st.dir
	case bytes.EqualFold(l.name, []byte("Files")):
		st.list = MD5
	case bytes.EqualFold(l.name, []byte("Checksums-Sha1")):
		st.list = SHA1
	case bytes.EqualFold(l.name, []byte("Checksums-Sha256")):
		st.list = SHA256
	case bytes.EqualFold(l.name, []byte("Checksums-Sha512")):
		st.list = SHA512
	}
	if field == nil {
		return nil
	}
	if *field != "" {
		return s.fail(fault.Malformed, "%s stands twice in one stanza", l.name)
	}
	if l.cut || len(l.value) > maxPath {
		return s.fail(fault.Hostile, "%s is too long", l.name)
	}
	*field = string(l.value)
	return nil
}

func (st *sourceStanza) addFile(s *scanner, value []byte) error {
	if bytes.IndexByte(value, '/') >= 0 {
		return s.fail(fault.Hostile, "file name %.200q is not one path element", value)
	}
	if err := st.files.add(st.list, value); err != nil {
		return s.fail(fault.KindOf(err), "%w", err)
	}
	return nil
}

func (st *sourceStanza) finish(s *scanner) (Source, error) {
	if st.name == "" || st.version == "" {
		return Source{}, s.fail(fault.Malformed, "stanza without Package or Version")
	}
	src := Source{Name: st.name, Version: st.version}
	for _, f := range st.files.files {
		full := f.Path
		if st.dir != "" { // flat repositories have none, or "."
			full = st.dir + "/" + f.Path
		}
		clean, err := objectPath(full)
		if err != nil {
			return Source{}, err
		}
		if f.Path = clean; !f.Hashes.Proves() {
			src.Flaw = f.Path + " has neither SHA256 nor SHA512"
			continue
		}
		src.Files = append(src.Files, f)
	}
	slices.SortFunc(src.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return src, nil
}
