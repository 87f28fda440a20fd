package yum

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// builder collects what a repository refers to.
type builder struct {
	t        *tree.Tree
	e        *Engine
	repo     repo
	src      source
	entries  []manifest.Entry // unsorted
	packages int64
	data     int64
	external int64 // packages that lie elsewhere
	notes    []tree.Note
}

// all keeps the metadata and lists everything that it names.
func (b *builder) all(ctx context.Context, md *rpmrepo.Repomd, f *fetched, old repoState) error {
	metadata := b.whole
	if b.e.cfg.Filter.active() {
		metadata = func(ctx context.Context, md *rpmrepo.Repomd, f *fetched) error { return b.filtered(ctx, f.repomd, md) }
	}
	if err := metadata(ctx, md, f); err != nil {
		return err
	}
	if err := b.tree(ctx, old); err != nil {
		return err
	}
	return b.keepDropped(old, time.Now())
}

// whole keeps the metadata as upstream has it.
func (b *builder) whole(ctx context.Context, md *rpmrepo.Repomd, f *fetched) error {
	kept, err := b.keepData(ctx, md, func(string) bool { return false })
	if err != nil {
		return err
	}
	if err := b.lists(ctx, md, kept); err != nil {
		return err
	}
	for name, file := range map[string]struct {
		data []byte
		kind manifest.Kind
	}{repomdName: {f.repomd, manifest.Pointer}, ascName: {f.asc, manifest.Index3}, keyName: {f.key, manifest.Index2}} {
		if file.data == nil {
			continue
		}
		if err := b.put(path.Join(b.repo.dir, name), file.data, file.kind, ""); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) put(p string, data []byte, kind manifest.Kind, note string) error {
	d, err := b.t.PutIndex(data)
	if err != nil {
		return err
	}
	return b.add(manifest.Entry{Path: p, Kind: kind, Size: int64(len(data)), Digest: d, Note: note})
}

func (b *builder) add(e manifest.Entry) error {
	if err := tree.CheckPath(e.Path); err != nil {
		return err
	}
	b.entries = append(b.entries, e)
	return nil
}

// fresh keeps caches in between from answering with what had the name before.
var fresh = http.Header{"Cache-Control": {"max-age=0"}}

// together is how many data files of a repository are fetched at once.
const together = 4

// keepData brings every data file into the state, known types or not: clients
// fail on a named file that is not there. It returns them in the order of md; those
// of a hidden type are only read.
func (b *builder) keepData(ctx context.Context, md *rpmrepo.Repomd, hidden func(kind string) bool) ([]manifest.Entry, error) {
	out := make([]manifest.Entry, len(md.Data))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	var mu sync.Mutex
	for i, d := range md.Data {
		g.Go(func() error {
			entry, err := b.keepOne(ctx, d)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[i] = entry
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, entry := range out {
		if entry.Path == "" || hidden(md.Data[i].Type) {
			continue
		}
		if entry.Kind == manifest.Object {
			b.data++
		}
		if err := b.add(entry); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keepOne brings one data file into the state. The entry has no path if the file lies elsewhere.
func (b *builder) keepOne(ctx context.Context, d rpmrepo.Data) (manifest.Entry, error) {
	p, here, err := b.resolve(d.Base, d.Href, true)
	if err != nil || !here {
		return manifest.Entry{}, err
	}
	if p == path.Join(b.repo.dir, repomdName) || p == path.Join(b.repo.dir, ascName) || p == path.Join(b.repo.dir, keyName) {
		return manifest.Entry{}, hostile(p, "data %q lies where repomd.xml does", d.Type)
	}
	kind := manifest.Index1
	if d.NamesContent() {
		kind = manifest.Object
	}
	entry := manifest.Entry{Path: p, Kind: kind}
	if have, err := manifest.ParseDigest(d.Checksum.Hex); err == nil && d.Checksum.Type == "sha256" && d.Size >= 0 && b.t.HasIndex(have, d.Size) {
		entry.Digest, entry.Size = have, d.Size
		return entry, nil
	}
	req := proving(b.src.at(p), d.Checksum)
	req.Size, req.Max = d.Size, maxDataFile
	if !d.NamesContent() {
		req.Header = fresh
	}
	got, err := b.e.keepContent(ctx, b.t, req)
	if err != nil {
		if fault.KindOf(err) != "" {
			err = &dataError{p, err}
		}
		return entry, err
	}
	entry.Digest, entry.Size = got.Digest, got.Size
	return entry, nil
}

// maxDataFile bounds a data file of which repomd.xml gives no size, in bytes.
const maxDataFile = 4 << 30

// resolve returns the path in the tree of what an index calls href. With an
// xml:base the file lies where that says: below our upstream, or elsewhere,
// and clients fetch it from there.
func (b *builder) resolve(base, href string, data bool) (p string, here bool, err error) {
	dir := b.repo.dir
	if base != "" {
		rest, ours := below(b.src, base)
		if !ours {
			return "", false, nil
		}
		dir = path.Clean("./" + rest)
	}
	if data {
		p, err = rpmrepo.ResolveData(dir, href)
	} else {
		p, err = rpmrepo.Resolve(dir, href)
	}
	if err == nil && !b.src.has(p) {
		return "", false, hostile(p, "location leaves the repository, and a list of servers knows no other directory of theirs")
	}
	return p, true, err
}

// below returns the path of a URL below the source, as the tree has it.
func below(s source, url string) (string, bool) {
	for _, u := range s.upstreams {
		if rest, ok := strings.CutPrefix(strings.TrimRight(url, "/")+"/", strings.TrimRight(u, "/")+"/"); ok && !strings.Contains("/"+rest, "/../") {
			return s.strip + strings.TrimRight(rest, "/"), true
		}
	}
	return "", false
}

// object adds a package or a delta.
func (b *builder) object(p rpmrepo.Package) error {
	at, here, err := b.resolve(p.Base, p.Href, false)
	if err != nil {
		return err
	}
	if !here {
		b.external++
		return nil
	}
	if strings.Contains("/"+at, "/repodata/") {
		return hostile(at, "package lies among the metadata")
	}
	return b.add(claim(at, p.Size, p.Checksum))
}

// claim is the row of an object whose SHA-256 or size the index does not tell:
// its note says what is known, and its digest is that of the note.
func claim(p string, size int64, sum rpmrepo.Checksum) manifest.Entry {
	e := manifest.Entry{Path: p, Kind: manifest.Object, Size: max(size, 0)}
	if d, err := manifest.ParseDigest(sum.Hex); err == nil && sum.Type == "sha256" && size >= 0 {
		e.Digest = d
		return e
	}
	e.Note = sum.String()
	if size < 0 {
		e.Note += " ?"
	}
	e.Digest = sha256.Sum256([]byte(e.Note))
	return e
}

// claimed reads what claim wrote.
func claimed(e manifest.Entry) (sum rpmrepo.Checksum, size int64, err error) {
	if e.Note == "" {
		return rpmrepo.Checksum{Type: "sha256", Hex: e.Digest.String()}, e.Size, nil
	}
	note, unsized := strings.CutSuffix(e.Note, " ?")
	sum, err = rpmrepo.ReadChecksum(note)
	if size = e.Size; unsized {
		size = -1
	}
	return sum, size, err
}

// write stores the table, if no two entries want the same place.
func (b *builder) write() (*manifest.Manifest, error) {
	slices.SortFunc(b.entries, func(x, y manifest.Entry) int { return cmp.Or(manifest.Compare(x, y), cmp.Compare(x.Note, y.Note)) })
	b.entries = slices.Compact(b.entries)
	checked := "" // the directory of the entry before
	for i, e := range b.entries {
		if i > 0 && b.entries[i-1].Path == e.Path {
			return nil, malformed(e.Path, errors.New("it is listed twice, with different checksums or sizes"))
		}
		if dir := path.Dir(e.Path); dir != checked {
			checked = dir
			if err := b.checkParents(e.Path); err != nil {
				return nil, err
			}
		}
	}
	if b.external > 0 {
		b.note(fault.Conflict, fmt.Sprintf("%d packages have an absolute xml:base elsewhere: clients fetch them from there, and the mirror does not hold them", b.external))
	}
	return manifest.Write(b.t, func(yield func(manifest.Entry, error) bool) {
		for _, e := range b.entries {
			if !yield(e, nil) {
				return
			}
		}
	})
}

// checkParents refuses a file that would lie below another file.
func (b *builder) checkParents(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		_, isFile := slices.BinarySearchFunc(b.entries, dir, func(e manifest.Entry, dir string) int { return strings.Compare(e.Path, dir) })
		if isFile {
			return malformed(p, fmt.Errorf("%s is listed as a file, and as a directory", dir))
		}
	}
	return nil
}

func (b *builder) note(kind fault.Kind, text string) {
	b.notes = append(b.notes, tree.Note{Unit: b.repo.dir, Kind: string(kind), Error: text, Standing: true})
}

const keeps = "the repository keeps its generation; tell upstream"

func malformed(subject string, err error) error {
	return &fault.Error{Kind: fault.Malformed, Op: "yum: read repository", Subject: subject, Err: err, Advice: keeps}
}

func hostile(subject, format string, args ...any) error {
	return &fault.Error{Kind: fault.Hostile, Op: "yum: read repository", Subject: subject, Err: fmt.Errorf(format, args...), Advice: keeps}
}
