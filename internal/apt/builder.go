package apt

import (
	"errors"
	"fmt"
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
	t       *tree.Tree
	dir     string
	entries []manifest.Entry // unsorted, and a package of all architectures once for each
	counts  map[string]int64
	byHash  int64
}

func (b *builder) add(e manifest.Entry) error {
	if err := tree.CheckPath(e.Path); err != nil {
		return err
	}
	b.entries = append(b.entries, e)
	return nil
}

// index lists the forms of an index under their names and the packages in it.
func (b *builder) index(index wantedIndex, forms []form, byHash bool) error {
	for _, f := range forms {
		e := manifest.Entry{Path: join(b.dir, f.Path), Kind: manifest.Index2, Size: f.Size, Digest: f.digest}
		if err := b.add(e); err != nil {
			return err
		}
		if !byHash {
			continue
		}
		for _, p := range debrepo.ByHashPaths(f.File) {
			if err := b.add(manifest.Entry{Path: join(b.dir, p), Kind: manifest.Object, Size: f.Size, Digest: f.digest}); err != nil {
				return err
			}
		}
	}
	if index.Kind != debrepo.KindPackages {
		return nil
	}
	b.counts[index.component] += 0
	return read(b.t, index.Index, forms, func(p debrepo.Package) error {
		b.counts[index.component]++
		return b.object(p)
	})
}

func (b *builder) object(p debrepo.Package) error {
	if err := checkFilename(p.Filename); err != nil {
		return err
	}
	d, err := manifest.ParseDigest(p.Hashes.SHA256)
	if err != nil {
		return &fault.Error{Kind: fault.Unproved, Op: "apt: read package", Subject: p.Filename,
			Err: errors.New("the index gives no SHA256"), Advice: "upstream must list SHA256 digests"}
	}
	// The clone lets go of the rest of the stanza.
	return b.add(manifest.Entry{Path: strings.Clone(p.Filename), Kind: manifest.Object, Size: p.Size, Digest: d})
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
	isPackage := strings.HasSuffix(p, ".deb") || strings.HasSuffix(p, ".udeb") || strings.HasSuffix(p, ".ddeb")
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
	checked := "" // the directory of the entry before
	for i, e := range b.entries {
		if strings.Contains("/"+e.Path, "/by-hash/") {
			b.byHash++
		}
		if i > 0 && b.entries[i-1].Path == e.Path {
			old := b.entries[i-1]
			return nil, malformed(e.Path, fmt.Errorf("listed with %s (%d bytes) and with %s (%d bytes)", old.Digest, old.Size, e.Digest, e.Size))
		}
		if dir := path.Dir(e.Path); dir != checked {
			checked = dir
			if err := b.checkParents(e.Path); err != nil {
				return nil, err
			}
		}
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

func malformed(subject string, err error) error {
	return &fault.Error{Kind: fault.Malformed, Op: "apt: read indexes", Subject: subject, Err: err,
		Advice: "the suite keeps its generation; tell upstream"}
}
