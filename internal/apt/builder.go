package apt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// builder collects what a suite refers to.
type builder struct {
	e       *Engine
	ctx     context.Context
	t       *tree.Tree
	suite   string
	dir     string
	was     *manifest.Manifest // what the suite referred to before
	byHash  bool               // lay indexes down under their digests, too
	entries []manifest.Entry   // unsorted, and a package of all architectures once for each
	missing []manifest.Entry   // named by the indexes and left out
	counts  map[string]int64
	hashed  int64           // entries that are indexes under their digests
	notes   []tree.Note     // what is left out, and why
	doubted bool            // upstream may well have what is left out
	fetched bool            // contents of objects were brought into the state to prove them
	lost    map[string]lost // by path; see lose
}

func (b *builder) add(e manifest.Entry) error {
	if err := tree.CheckPath(e.Path); err != nil {
		return err
	}
	b.entries = append(b.entries, e)
	return nil
}

// leave notes what is not taken over.
func (b *builder) leave(err error) {
	n := note(b.suite, err)
	n.Standing = true
	b.notes = append(b.notes, n)
}

// index lists the forms of an index under their names and what is in it.
func (b *builder) index(index wantedIndex, forms []form) error {
	forms, err := b.contents(index, forms)
	if err != nil {
		return err
	}
	for _, f := range forms {
		e := manifest.Entry{Path: join(b.dir, f.Path), Kind: manifest.Index2, Size: f.Size, Digest: f.digest}
		if err := b.add(e); err != nil {
			return err
		}
		if !b.byHash {
			continue
		}
		for _, p := range debrepo.ByHashPaths(f.File) {
			if err := b.add(manifest.Entry{Path: join(b.dir, p), Kind: manifest.Object, Size: f.Size, Digest: f.digest}); err != nil {
				return err
			}
		}
	}
	return nil
}

// contents lists what an index names, read from the first form that holds it,
// and returns the forms from that one on.
func (b *builder) contents(index wantedIndex, forms []form) ([]form, error) {
	list := b.lister(index)
	if list == nil {
		return forms, nil
	}
	var first error
	mark, lost := len(b.entries), maps.Clone(b.lost)
	for i, f := range forms {
		err := read(b.t, index.Index, f, list)
		var bad formError
		if !errors.As(err, &bad) {
			return forms[i:], err
		}
		// Half of it may have been listed already.
		clear(b.entries[mark:])
		b.entries, b.lost = b.entries[:mark], maps.Clone(lost)
		if first == nil {
			first = err
		}
		if i+1 < len(forms) {
			b.leave(err)
		}
	}
	return nil, first
}

func (b *builder) object(filename string, size int64, h debrepo.Hashes) error {
	if err := checkFilename(filename); err != nil {
		return err
	}
	e := manifest.Entry{Path: filename, Kind: manifest.Object, Size: size}
	var err error
	switch {
	case h.SHA256 != "":
		e.Digest, err = manifest.ParseDigest(h.SHA256)
	case b.lost[filename].entry == unproved(e, h.SHA512):
		return nil // an index of another architecture names it, too
	default:
		if e.Digest, err = b.prove(e, h.SHA512); b.lose(e, h.SHA512, err) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return b.add(e)
}

// checkFilename refuses packages that would lie where indexes do, of this suite
// or another: they could replace what a signature has proved. Some archives
// keep their pool below dists, which does no harm under a package's own suffix.
func checkFilename(p string) error {
	why := ""
	switch debrepo.TrimCompression(path.Base(p)) {
	case "Release", "InRelease", "Release.gpg", "Packages", "Sources":
		why = "is the name of an index"
	}
	isPackage := slices.ContainsFunc([]string{".deb", ".udeb", ".ddeb", ".dsc", ".tar", ".diff", ".asc"}, func(suffix string) bool {
		return strings.HasSuffix(debrepo.TrimCompression(p), suffix)
	})
	switch {
	case strings.HasPrefix(p, "dists/") && !isPackage:
		why = "lies among the indexes"
	case strings.Contains(p, "/by-hash/"), strings.HasPrefix(p, "by-hash/"):
		why = "lies among the indexes by hash"
	}
	if why == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Hostile, Op: "apt: read package", Subject: p, Err: errors.New("Filename " + why),
		Advice: "the suite keeps its generation; tell upstream"}
}

// releases keeps the signed files, InRelease last in rank.
func (b *builder) releases(rel *signed) error {
	if rel.files["InRelease"] == nil {
		// It may be gone for this one answer: what is there is as good, but asked for again.
		_, had, err := b.was.Lookup(join(b.dir, "InRelease"))
		if err != nil {
			return err
		}
		b.doubted = b.doubted || had
	}
	for name, data := range rel.files {
		d, err := b.t.PutIndex(data)
		if err != nil {
			return err
		}
		kind := manifest.Index3
		if name == "InRelease" || name == "Release.gpg" {
			kind = manifest.Pointer
		}
		if err := b.add(manifest.Entry{Path: join(b.dir, name), Kind: kind, Size: int64(len(data)), Digest: d}); err != nil {
			return err
		}
	}
	return nil
}

// write stores the table, if no two entries want the same place.
func (b *builder) write() (*manifest.Manifest, error) {
	slices.SortFunc(b.entries, manifest.Compare)
	b.entries = slices.Compact(b.entries)
	if err := b.settleTwice(); err != nil {
		return nil, err
	}
	if err := b.settleLost(); err != nil {
		return nil, err
	}
	checked := "" // the directory of the entry before
	for _, e := range b.entries {
		if strings.Contains("/"+e.Path, "/by-hash/") {
			b.hashed++
		}
		if dir := path.Dir(e.Path); dir != checked {
			checked = dir
			if err := b.checkParents(e.Path); err != nil {
				return nil, err
			}
		}
	}
	return manifest.Write(b.t, each(b.entries))
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

func malformed(subject string, err error) error {
	return &fault.Error{Kind: fault.Malformed, Op: "apt: read indexes", Subject: subject, Err: err,
		Advice: "the suite keeps its generation; tell upstream"}
}
