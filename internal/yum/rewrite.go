package yum

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
)

// rewriter writes the metadata of a filtered repository. The same upstream and
// filter make the same bytes.
type rewriter struct {
	b     *builder
	keep  []bool   // by place in upstream's primary
	order []string // checksums of what is kept, in the order of all lists
	data  map[string]string
}

// rewrite writes one list of packages anew.
func (w *rewriter) rewrite(d rpmrepo.Data, e manifest.Entry) error {
	out := newPacked()
	var err error
	if d.Type == "primary" {
		err = w.copy(e, out, len(w.order), func(i int, _ string) bool { return i < len(w.keep) && w.keep[i] })
	} else {
		err = w.ordered(e, out)
	}
	if err == nil {
		err = out.zip.Close()
	}
	if err != nil {
		return err
	}
	if d.Type == "primary" {
		if err := w.check(out.packed.Bytes(), e.Path); err != nil {
			return err
		}
	}
	return w.put(d, out)
}

// copy writes the elements that keep tells, in the order in which they are read.
func (w *rewriter) copy(e manifest.Entry, out io.Writer, n int, keep func(i int, id string) bool) error {
	return w.split(e, func(s *rpmrepo.Split) error {
		head, tail, err := s.Frame(n)
		if err != nil {
			return err
		}
		if _, err := out.Write(head); err != nil {
			return err
		}
		for i := 0; ; i++ {
			element, err := s.Next()
			if err == io.EOF {
				_, err = out.Write(tail)
				return err
			}
			if err == nil && keep(i, rpmrepo.Attr(element, "pkgid")) {
				_, err = out.Write(append(element, '\n'))
			}
			if err != nil {
				return err
			}
		}
	})
}

func (w *rewriter) split(e manifest.Entry, each func(*rpmrepo.Split) error) error {
	plain, err := w.b.unpacked(e, maxPlain)
	if err != nil {
		return err
	}
	defer plain.Close()
	s, err := rpmrepo.NewSplit(plain, "package")
	if err == nil {
		err = each(s)
	}
	if err != nil {
		return about(err, e.Path)
	}
	return nil
}

// ordered writes filelists or other in the order of the primary, which tools
// that join the lists rely on. Upstream's order is that, nearly always; else what
// is kept is held in memory.
func (w *rewriter) ordered(e manifest.Entry, out io.Writer) error {
	wanted := map[string]bool{}
	for _, id := range w.order {
		wanted[id] = true
	}
	var found []string
	err := w.copy(e, io.Discard, 0, func(_ int, id string) bool {
		if wanted[id] {
			found = append(found, id)
		}
		return false
	})
	if err != nil {
		return err
	}
	if slices.Equal(found, w.order) {
		return w.copy(e, out, len(w.order), func(_ int, id string) bool { return wanted[id] })
	}
	elements, held := map[string][]byte{}, 0
	return w.split(e, func(s *rpmrepo.Split) error {
		for {
			element, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if id := rpmrepo.Attr(element, "pkgid"); wanted[id] && elements[id] == nil {
				if held += len(element); held > maxHeld {
					return malformed(e.Path, fmt.Errorf("its order is not that of the primary, and more than %d bytes would have to be sorted", maxHeld))
				}
				elements[id] = append(bytes.Clone(element), '\n')
			}
		}
		return w.join(s, elements, out)
	})
}

// maxHeld bounds what is sorted, in bytes.
const maxHeld = 512 << 20

func (w *rewriter) join(s *rpmrepo.Split, elements map[string][]byte, out io.Writer) error {
	head, tail, err := s.Frame(len(w.order))
	if err != nil {
		return err
	}
	parts := [][]byte{head}
	for _, id := range w.order {
		parts = append(parts, elements[id])
	}
	for _, part := range append(parts, tail) {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// check reads the new primary as clients do: it must name what was chosen.
func (w *rewriter) check(packed []byte, name string) error {
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	i := 0
	for p, err := range rpmrepo.ReadPrimary(plain) {
		if err != nil {
			return about(err, name)
		}
		if i >= len(w.order) || p.Checksum.Hex != w.order[i] {
			break
		}
		i++
	}
	if i != len(w.order) {
		return malformed(name, errors.New("it cannot be cut into packages"))
	}
	return nil
}

// packed compresses and digests what is written to it.
type packed struct {
	packed bytes.Buffer
	zip    *gzip.Writer
	plain  hash.Hash
	size   int64
}

func newPacked() *packed {
	p := &packed{plain: sha256.New()}
	p.zip = gzip.NewWriter(&p.packed)
	return p
}

func (p *packed) Write(b []byte) (int, error) {
	p.plain.Write(b)
	p.size += int64(len(b))
	return p.zip.Write(b)
}

// put keeps a list under a name that holds its checksum.
func (w *rewriter) put(d rpmrepo.Data, out *packed) error {
	digest, err := w.b.t.PutIndex(out.packed.Bytes())
	if err != nil {
		return err
	}
	name := "repodata/" + digest.String() + "-" + d.Type + ".xml.gz"
	e := manifest.Entry{Path: path.Join(w.b.repo.dir, name), Kind: manifest.Object, Size: int64(out.packed.Len()), Digest: digest}
	w.b.data++
	if w.data == nil {
		w.data = map[string]string{}
	}
	w.data[d.Type] = fmt.Sprintf("<data type=\"%s\">\n    <checksum type=\"sha256\">%s</checksum>\n    <open-checksum type=\"sha256\">%x</open-checksum>\n"+
		"    <location href=\"%s\"/>\n    <timestamp>%d</timestamp>\n    <size>%d</size>\n    <open-size>%d</open-size>\n  </data>",
		d.Type, digest, out.plain.Sum(nil), name, d.Timestamp, e.Size, out.size)
	return w.b.add(e)
}

// pointer writes the new repomd.xml: the lists that are new, and all other data as upstream has it.
func (w *rewriter) pointer(text []byte) error {
	s, err := rpmrepo.NewSplit(bytes.NewReader(text), "data")
	if err != nil {
		return err
	}
	head, tail, err := s.Frame(0)
	if err != nil {
		return err
	}
	out := bytes.NewBuffer(bytes.TrimRight(head, " \t"))
	for {
		element, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		kind := rpmrepo.Attr(element, "type")
		if isDropped(kind) {
			continue
		}
		if isRewritten(kind) {
			element = []byte(w.data[kind])
		}
		fmt.Fprintf(out, "  %s\n", element)
	}
	out.Write(tail)
	if _, err := rpmrepo.ParseRepomd(out.Bytes()); err != nil {
		return about(err, path.Join(w.b.repo.dir, repomdName))
	}
	return w.b.put(path.Join(w.b.repo.dir, repomdName), out.Bytes(), manifest.Pointer, "")
}
