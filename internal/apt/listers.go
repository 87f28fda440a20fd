package apt

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
)

// Limits of what lists name without its size, or are themselves, in bytes.
const (
	maxListing   = 64 << 20
	maxInstaller = 8 << 30
)

// lister returns what reads the names out of an index, nil for one that names nothing.
func (b *builder) lister(index wantedIndex) func(io.Reader) error {
	switch base := path.Base(index.Path); {
	case base == "Packages":
		group := index.component
		if index.Kind == debrepo.KindUdebs {
			group += "/debian-installer"
		}
		return func(r io.Reader) error { return b.packages(r, index.Path, group) }
	case base == "Sources":
		return func(r io.Reader) error { return b.sources(r, index.Path, index.component+"/source") }
	case index.Kind == debrepo.KindPdiffs:
		return func(r io.Reader) error { return b.listed(r, index, debrepo.ReadPdiffs) }
	case index.Kind == debrepo.KindInstaller && base == "SHA256SUMS":
		return func(r io.Reader) error { return b.listed(r, index, debrepo.ReadSums) }
	}
	return nil
}

func (b *builder) packages(r io.Reader, index, group string) error {
	var n int64
	var flaws []string
	for p, err := range debrepo.ReadPackages(r) {
		if err == nil {
			err = b.ctx.Err()
		}
		if err != nil {
			return err
		}
		if p.Flaw != "" {
			flaws = append(flaws, fmt.Sprintf("package %s %s has %s", printable(p.Name), printable(p.Version), p.Flaw))
			continue
		}
		n++
		// The clone lets go of the rest of the stanza.
		if err := b.object(strings.Clone(p.Filename), p.Size, p.Hashes); err != nil {
			return err
		}
	}
	return b.count(index, group, n, flaws)
}

func (b *builder) sources(r io.Reader, index, group string) error {
	var n int64
	var flaws []string
	for s, err := range debrepo.ReadSources(r) {
		if err == nil {
			err = b.ctx.Err()
		}
		if err != nil {
			return err
		}
		n++
		if s.Flaw != "" {
			flaws = append(flaws, fmt.Sprintf("source %s %s: %s", printable(s.Name), printable(s.Version), s.Flaw))
		}
		for _, f := range s.Files {
			if err := b.object(f.Path, f.Size, f.Hashes); err != nil {
				return err
			}
		}
	}
	return b.count(index, group, n, flaws)
}

// maxFlaws is how many stanzas of one index are told of by name.
const maxFlaws = 20

// printable shows a name of upstream's as it is, or quoted where a terminal
// would take it for a command.
func printable(s string) string {
	if len(s) > 80 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%.80q", s)
	}
	return s
}

// count keeps how much an index names, and tells of stanzas that are of no use.
func (b *builder) count(index, group string, n int64, flaws []string) error {
	b.counts[group] += n
	if n == 0 && len(flaws) > 0 {
		return &fault.Error{Kind: fault.Unproved, Op: "apt: read index", Subject: index, Err: errors.New(flaws[0] + ", and so have all others"),
			Advice: "upstream must list sizes and SHA256 or SHA512 digests"}
	}
	more := int64(len(flaws) - maxFlaws)
	if more > 0 {
		flaws = append(slices.Clone(flaws[:maxFlaws]), fmt.Sprintf("%d more stanzas like these", more))
	}
	for _, flaw := range flaws {
		b.leave(&fault.Error{Kind: fault.Malformed, Op: "apt: read index", Subject: index, Err: errors.New(flaw), Advice: "it is left out; tell upstream"})
	}
	if more > 0 {
		b.notes[len(b.notes)-1].Count = more
	}
	return nil
}

// listed brings the files in that an index names beside itself. One that
// upstream does not have is left out: clients do without pdiffs.
func (b *builder) listed(r io.Reader, index wantedIndex, parse func([]byte) ([]debrepo.File, error)) error {
	text, err := io.ReadAll(io.LimitReader(r, maxListing))
	if err != nil {
		return err
	}
	files, err := parse(text)
	if err != nil {
		return err
	}
	dir := join(b.dir, path.Dir(index.Path))
	if err := b.fits(b.lacking(files)); err != nil {
		return err
	}
	for _, f := range files {
		p := join(dir, f.Path)
		d, size, err := b.keepListed(p, f)
		switch stop := stops(b.ctx, err); {
		case stop != nil:
			return stop
		case errors.Is(err, fault.Gone) && index.Kind == debrepo.KindPdiffs:
			continue
		case absent(err), errors.Is(err, fault.Unproved):
			b.doubted = true
			b.leave(err)
			continue
		case err != nil:
			return err
		}
		if err := b.add(manifest.Entry{Path: p, Kind: manifest.Index2, Size: size, Digest: d}); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) keepListed(p string, f debrepo.File) (d manifest.Digest, size int64, err error) {
	if d, err = manifest.ParseDigest(f.Hashes.SHA256); err != nil {
		return d, 0, err
	}
	if in, err := b.t.OpenIndex(d); err == nil {
		defer in.Close()
		info, err := in.Stat()
		if err != nil {
			return d, 0, err
		}
		if f.Size < 0 || info.Size() == f.Size {
			return d, info.Size(), nil
		}
	}
	if err := b.fits(max(f.Size, 1)); err != nil { // SHA256SUMS tells no sizes
		return d, 0, err
	}
	res, err := b.e.keepContent(b.ctx, b.t, fetch.Request{Path: p, Size: f.Size, Max: maxInstaller, SHA256: f.Hashes.SHA256})
	return d, res.Size, err
}
