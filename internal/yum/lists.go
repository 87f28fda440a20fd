package yum

import (
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"strings"
	"sync"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// maxPlain bounds an unpacked list of packages, in bytes; the largest known has
// 200 MB. What repomd.xml says of it is wrong at times.
const maxPlain = 4 << 30

// lists reads what names packages: the primary, and lists of deltas. Other data
// names nothing that is fetched.
func (b *builder) lists(ctx context.Context, md *rpmrepo.Repomd, kept []manifest.Entry) error {
	if _, err := b.onePrimary(md, kept); err != nil {
		return err
	}
	for i, d := range md.Data {
		read := rpmrepo.ReadDeltas
		switch d.Type {
		case "primary":
			read = rpmrepo.ReadPrimary
		case "prestodelta", "deltainfo":
		default:
			continue
		}
		if kept[i].Path == "" {
			return malformed(d.Href, errors.New("a list of packages lies on another server"))
		}
		n := int64(0)
		err := b.read(kept[i], read, func(p rpmrepo.Package) error {
			n++
			return errors.Join(ctx.Err(), b.object(p))
		})
		if err != nil {
			return err
		}
		if d.Type == "primary" {
			b.packages += n - b.external
		}
	}
	return nil
}

// onePrimary returns which of the data files is the primary.
func (b *builder) onePrimary(md *rpmrepo.Repomd, kept []manifest.Entry) (int, error) {
	at, n := 0, 0
	for i, d := range md.Data {
		if d.Type == "primary" {
			at, n = i, n+1
		}
	}
	if n != 1 {
		return 0, malformed(path.Join(b.repo.dir, repomdName), errors.New("it does not name exactly one primary"))
	}
	if kept[at].Path == "" {
		return 0, malformed(md.Data[at].Href, errors.New("a list of packages lies on another server"))
	}
	return at, nil
}

func (b *builder) read(e manifest.Entry, read func(io.Reader) iter.Seq2[rpmrepo.Package, error], each func(rpmrepo.Package) error) error {
	in, err := b.t.OpenIndex(e.Digest)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, err := debrepo.Decompress(e.Path, in, maxPlain)
	if err != nil {
		return about(err, e.Path)
	}
	text, stop := ahead(plain)
	defer stop()
	for p, err := range read(text) {
		if err != nil && fault.KindOf(err) != "" {
			return about(err, e.Path)
		}
		if err == nil {
			err = each(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ahead reads r, and closes it, in a goroutine of its own until stop is called:
// unpacking takes as long as reading.
func ahead(r io.ReadCloser) (text io.Reader, stop func()) {
	out, in := io.Pipe()
	var g sync.WaitGroup
	g.Go(func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{in}, r, make([]byte, 256<<10))
		in.CloseWithError(errors.Join(err, r.Close())) // nil is the end of the text
	})
	return out, func() {
		out.Close()
		g.Wait()
	}
}

// unnamed are small files that clients look for and no index names.
var unnamed = []string{"media.1/media", "media.repo", "extra_files.json", ".discinfo"}

// ofTree marks the rows of a kickstart tree.
const ofTree = "tree"

// tree adds the files that lie beside the packages: a kickstart tree, and
// files that nothing names. A tree of which a file cannot be had stays as it
// was; packages do not wait for images.
func (b *builder) tree(ctx context.Context, old repoState) error {
	for _, name := range unnamed {
		p := path.Join(b.repo.dir, name)
		data, _, err := b.e.optional(ctx, b.src, p)
		if stop := stops(ctx, err); stop != nil {
			return stop
		}
		if err == nil && data != nil {
			err = b.put(p, data, manifest.Index1, "")
		}
		if err != nil {
			b.notes = append(b.notes, note(b.repo.dir, err))
		}
	}
	err := b.kickstart(ctx)
	if stop := stops(ctx, err); stop != nil {
		return stop
	}
	if err == nil {
		return nil
	}
	n := note(b.repo.dir, err)
	n.Error = "the kickstart tree stays as it is: " + n.Error
	b.notes = append(b.notes, n)
	was, err := openTable(b.t, old.Table)
	if err != nil {
		return err
	}
	for e, err := range was.All() {
		if err != nil {
			return err
		}
		if e.Note == ofTree {
			b.entries = append(b.entries, e)
		}
	}
	return nil
}

func (b *builder) kickstart(ctx context.Context) error {
	for _, name := range []string{".treeinfo", "treeinfo"} {
		p := path.Join(b.repo.dir, name)
		data, _, err := b.e.optional(ctx, b.src, p)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		images, err := rpmrepo.ParseTreeinfo(data)
		if err != nil {
			return about(err, p)
		}
		var entries []manifest.Entry
		for _, i := range images {
			e, err := b.image(ctx, i)
			if err != nil {
				return err
			}
			if e.Path != "" {
				entries = append(entries, e)
			}
		}
		b.entries = append(b.entries, entries...)
		return b.put(p, data, manifest.Index1, ofTree)
	}
	return nil
}

// image keeps one file of a kickstart tree, if .treeinfo says what it must be.
func (b *builder) image(ctx context.Context, i rpmrepo.Image) (manifest.Entry, error) {
	if i.Checksum.IsZero() {
		b.note(fault.Unproved, i.Path+": .treeinfo names it without a checksum, so it is left out")
		return manifest.Entry{}, nil
	}
	p, err := rpmrepo.ResolveData(b.repo.dir, i.Path)
	if err == nil {
		err = tree.CheckPath(p)
	}
	if err == nil && (strings.Contains("/"+p, "/repodata/") || strings.HasSuffix(p, ".rpm")) {
		err = hostile(p, "image lies among metadata or packages")
	}
	if err != nil {
		return manifest.Entry{}, err
	}
	req := proving(b.src.at(p), i.Checksum)
	req.Max = maxImage
	if d, err := manifest.ParseDigest(req.SHA256); err == nil {
		if f, err := b.t.OpenIndex(d); err == nil { // what the state keeps has been proved
			st, err := f.Stat()
			f.Close()
			if err == nil {
				return manifest.Entry{Path: p, Kind: manifest.Index1, Size: st.Size(), Digest: d, Note: ofTree}, nil
			}
		}
	}
	e, err := b.e.keepContent(ctx, b.t, req)
	e.Path, e.Kind, e.Note = p, manifest.Index1, ofTree
	return e, err
}

// maxImage bounds a file of a kickstart tree, in bytes; DVD images have 13 GB.
const maxImage = 32 << 30
