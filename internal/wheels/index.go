package wheels

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// maxPage bounds a page of the index mirror, which rendered it itself.
const maxPage = 1 << 30

// Index is the newest sealed generation of the index mirror: what regions get of it.
// It remembers the pages it has read, so it is for one goroutine.
type Index struct {
	Generation *tree.Generation // nil if there is none yet

	t     *tree.Tree
	m     *manifest.Manifest
	pages map[string]*simpleindex.Project
}

// OpenIndex reads where the index mirror's tree t stands.
func OpenIndex(t *tree.Tree) (*Index, error) {
	g, err := t.Sealed()
	if err != nil {
		return nil, err
	}
	m, err := t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	return &Index{Generation: g, t: t, m: m, pages: map[string]*simpleindex.Project{}}, nil
}

func (x *Index) entry(name string) (manifest.Entry, bool, error) {
	return x.m.Lookup(simpleindex.ProjectPath(name) + "/" + simpleindex.V1JSONName)
}

// Page returns the page of a project, nil if there is none. URLs of files stand
// below an address that means the index mirror.
func (x *Index) Page(name string) (*simpleindex.Project, error) {
	if p, ok := x.pages[name]; ok {
		return p, nil
	}
	p, err := x.read(name)
	if err == nil {
		x.pages[name] = p
	}
	return p, err
}

func (x *Index) read(name string) (*simpleindex.Project, error) {
	e, ok, err := x.entry(name)
	if err != nil || !ok {
		return nil, err
	}
	f, err := x.t.OpenIndex(e.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPage))
	if err != nil {
		return nil, fmt.Errorf("wheels: read page of %s: %w", name, err)
	}
	p, err := simpleindex.ParseProject(data, name, anyHost+simpleindex.ProjectPath(name)+"/")
	if err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "wheels: read page", Subject: e.Path, Err: err, Advice: "verify the index mirror"}
	}
	return p, nil
}

// whole reports whether a file is there with these bytes.
func (x *Index) whole(path, digest string) bool {
	f, err := x.t.OpenFile(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == digest
}

// Lookup returns the entry of a file, as verification asks for it.
func (x *Index) Lookup(path string) (manifest.Entry, bool, error) { return x.m.Lookup(path) }
