package rpmrepo

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"mirrorcycle/internal/fault"
)

// Package is one package of a primary.
type Package struct {
	Name, Arch              string
	Epoch, Version, Release string
	Checksum                Checksum
	Size                    int64 // of the file in bytes, -1 if it is not told
	Href                    string
	Base                    string // xml:base: the package lies elsewhere
}

// String returns the package as rpm names it: name-version-release.arch.
func (p Package) String() string { return p.Name + "-" + p.Version + "-" + p.Release + "." + p.Arch }

// ReadPrimary yields the packages of an unpacked primary. It holds one tag at
// a time, however many packages there are. A package without location or
// checksum is fault.Malformed, as is a text that ends early.
func ReadPrimary(r io.Reader) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		p := primary{s: newScanner(r)}
		for {
			pkg, ok, err := p.next()
			if err != nil {
				err = explain("primary", err)
			}
			if err != nil || !ok {
				if err != nil {
					yield(Package{}, err)
				}
				return
			}
			if !yield(pkg, nil) {
				return
			}
		}
	}
}

// explain gives an error of the text a kind; those of reading have theirs.
func explain(what string, err error) error {
	switch {
	case fault.KindOf(err) != "":
		return err
	case errors.Is(err, errToken), errors.Is(err, errDepth), errors.Is(err, errNoDTD):
		return hostile(what, "%w", err)
	}
	return malformed(what, err)
}

type primary struct {
	s    *scanner
	root bool
}

func (p *primary) next() (pkg Package, ok bool, err error) {
	for {
		t, err := p.s.next()
		if err == io.EOF && p.root {
			return pkg, false, nil
		}
		if err != nil {
			return pkg, false, cut(err)
		}
		if t.kind == text || t.kind == endTag {
			continue
		}
		switch {
		case !p.root:
			if string(t.name) != "metadata" {
				return pkg, false, fmt.Errorf("it begins with <%.40s>, not with <metadata>", t.name)
			}
			p.root = true
		case p.s.depth == 2 && t.kind == startTag && string(t.name) == "package":
			pkg, err = p.pkg()
			return pkg, err == nil, err
		}
	}
}

// pkg reads to the end of a package. Only elements right below it are looked at.
func (p *primary) pkg() (Package, error) {
	pkg := Package{Size: -1}
	var kind, digits string
	for {
		t, err := p.s.next()
		if err != nil {
			return pkg, cut(err)
		}
		if t.kind == endTag && p.s.depth == 1 {
			break
		}
		if t.kind == emptyTag && p.s.depth == 2 || t.kind == startTag && p.s.depth == 3 {
			if err := p.field(&pkg, t, &kind, &digits); err != nil {
				return pkg, err
			}
		}
	}
	var err error
	if pkg.Checksum, err = ParseChecksum(kind, digits); err != nil {
		return pkg, fmt.Errorf("package %.100q: %w", pkg.Name, err)
	}
	if pkg.Href == "" {
		return pkg, fmt.Errorf("package %.100q has no location", pkg.Name)
	}
	return pkg, nil
}

func (p *primary) field(pkg *Package, t token, kind, digits *string) (err error) {
	switch string(t.name) {
	case "name":
		pkg.Name, err = p.text(t)
	case "arch":
		pkg.Arch, err = p.text(t)
	case "checksum":
		*kind = t.attr("type")
		*digits, err = p.text(t)
	case "version":
		pkg.Epoch, pkg.Version, pkg.Release = t.attr("epoch"), t.attr("ver"), t.attr("rel")
	case "size":
		if n, err := strconv.ParseInt(t.attr("package"), 10, 64); err == nil && n >= 0 {
			pkg.Size = n
		}
	case "location":
		pkg.Href, pkg.Base = t.attr("href"), t.attr("xml:base")
	}
	return err
}

// text returns the text of the element that t begins.
func (p *primary) text(t token) (string, error) {
	if t.kind == emptyTag {
		return "", nil
	}
	t, err := p.s.next()
	if err != nil || t.kind != text {
		return "", cut(err)
	}
	return unescape(t.rest), nil
}
