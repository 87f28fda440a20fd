package pypi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/sdist"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

const (
	maxMetadata = 16 << 20 // bytes of a wheel's METADATA
	maxFile     = 16 << 30 // bytes of a file
)

// needs says what a version asks for: to run by the METADATA of one of its
// wheels, or by its source distribution if it has none, and to be built by that.
// The error is what could not be read of it; the rest is returned all the same.
func (c *closure) needs(ctx context.Context, n *node, version string) (needs, error) {
	var old needs
	remembered := false
	if n.known != nil {
		old, remembered = n.known.Needs[version]
	}
	if !n.fetched {
		return old, nil
	}
	ch, err := c.spill.get(n.name)
	if err != nil {
		return old, err
	}
	whl, src := sources(ch.Project, version)
	var got needs
	for _, f := range []*simpleindex.File{whl, src} {
		if f != nil {
			got.Files = append(got.Files, f.SHA256)
		}
	}
	if remembered && !old.Unread && slices.Equal(old.Files, got.Files) {
		return old, nil
	}
	var failures []error
	fail := func(err error) {
		failures = append(failures, err)
		got.Unread = got.Unread || passing(err)
	}
	if whl != nil {
		if got.Run, err = c.metadata(ctx, whl); err != nil {
			fail(err)
		}
	}
	if src != nil {
		asked, err := c.source(ctx, src)
		if err != nil {
			fail(err)
		}
		got.Build = asked.Build
		if whl == nil {
			got.Run = asked.Run
		}
	}
	if got.Unread && remembered {
		got.Run, got.Build = unique(append(got.Run, old.Run...)), unique(append(got.Build, old.Build...))
	}
	return got, errors.Join(failures...)
}

// passing tells a failure that may be over next time from content that stays as it is.
func passing(err error) bool {
	return !errors.Is(err, fault.Malformed) && !errors.Is(err, fault.Hostile)
}

// sources chooses the files that tell what a version needs: the wheel that most
// platforms can use, and the source distribution.
func sources(p *simpleindex.Project, version string) (whl, src *simpleindex.File) {
	rank := func(f *simpleindex.File) int {
		switch {
		case strings.HasSuffix(f.Filename, "-none-any.whl"):
			return 0
		case strings.Contains(f.Filename, "manylinux") && strings.Contains(f.Filename, "x86_64"):
			return 1
		case strings.Contains(f.Filename, "linux"):
			return 2
		}
		return 3
	}
	better := func(a, b *simpleindex.File, rank func(*simpleindex.File) int) bool {
		return b == nil || cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Filename, b.Filename)) < 0
	}
	forms := func(f *simpleindex.File) int {
		if strings.HasSuffix(f.Filename, ".tar.gz") {
			return 0
		}
		return 1
	}
	for i := range p.Files {
		f := &p.Files[i]
		if v, ok := simpleindex.FileVersion(p.Name, f.Filename); !ok || !same(v, version) || owned(p.Name, *f) != nil {
			continue
		}
		if strings.HasSuffix(f.Filename, ".whl") {
			if better(f, whl, rank) {
				whl = f
			}
		} else if sdist.IsName(f.Filename) && better(f, src, forms) {
			src = f
		}
	}
	return whl, src
}

// metadata reads what a wheel needs to run, at the least cost: from the tree, by
// the digest that the page gives of it, or out of the wheel itself.
func (c *closure) metadata(ctx context.Context, f *simpleindex.File) ([]string, error) {
	data, err := c.mirrored(objectPath(*f), ".metadata", f.SHA256)
	if err == nil && data == nil && f.CoreMetadata.SHA256 != "" {
		// If this one fails there is still the wheel.
		data, _, _ = c.p.e.client.GetBytes(ctx, fetch.Request{Path: f.URL + ".metadata", SHA256: f.CoreMetadata.SHA256, Max: maxMetadata})
	}
	if err == nil && data == nil {
		err = c.open(ctx, f, func(in *os.File, size int64) (err error) {
			data, err = wheel.ReadMetadata(in, size, f.Filename)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	m, err := wheel.ParseMetadata(data)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "pypi: read metadata", Subject: f.URL, Err: err, Advice: "what it needs is not known; name it in the requirements"}
	}
	return m.RequiresDist, nil
}

// mirrored returns the file that the tree has beside an object with that digest.
func (c *closure) mirrored(object, suffix, digest string) ([]byte, error) {
	c.p.held.Lock()
	held, ok, err := c.p.w.Held(object)
	c.p.held.Unlock()
	if err != nil || !ok || held.Digest.String() != digest {
		return nil, err
	}
	size, ok, err := c.p.t.Stat(object + suffix)
	if err != nil || !ok || size > maxMetadata {
		return nil, err
	}
	in, err := c.p.t.OpenFile(object + suffix)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data := make([]byte, size)
	_, err = in.ReadAt(data, 0)
	return data, err
}

func (c *closure) source(ctx context.Context, f *simpleindex.File) (out sdist.Needs, err error) {
	err = c.open(ctx, f, func(in *os.File, _ int64) (err error) {
		out, err = sdist.Read(in, f.Filename)
		return err
	})
	return out, err
}

// open reads a file from the tree or from upstream. What came from upstream was
// proved, and is kept: the plan takes it from there instead of asking once more.
func (c *closure) open(ctx context.Context, f *simpleindex.File, read func(in *os.File, size int64) error) error {
	object := objectPath(*f)
	c.p.held.Lock()
	held, ok, err := c.p.w.Held(object)
	c.p.held.Unlock()
	if err != nil {
		return err
	}
	if ok && held.Digest.String() == f.SHA256 {
		if size, there, err := c.p.t.Stat(object); err == nil && there && size == held.Size {
			in, err := c.p.t.OpenFile(object)
			if err != nil {
				return err
			}
			defer in.Close()
			return read(in, size)
		}
	}
	dir, err := os.MkdirTemp("", "mirrorcycle-file-*")
	if err != nil {
		return fmt.Errorf("pypi: read file: %w", err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "file")
	in, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("pypi: read file: %w", err)
	}
	defer in.Close()
	res, err := c.p.e.client.Get(ctx, fetch.Request{Path: f.URL, Max: maxFile, SHA256: f.SHA256}, scratch{in})
	if err != nil {
		return err
	}
	digest, err := manifest.ParseDigest(f.SHA256)
	if err == nil {
		err = c.p.keep(name, digest, res.Size)
	}
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	return read(in, res.Size)
}

// keep holds a proved file in the state until the plan is fetched.
func (p *planner) keep(name string, d manifest.Digest, size int64) error {
	if err := p.t.KeepFile(name, d); err != nil {
		return err
	}
	p.held.Lock()
	defer p.held.Unlock()
	p.kept[d.String()] = size
	return nil
}

// scratch is a file as the sink of a download.
type scratch struct{ *os.File }

func (s scratch) Reset() error {
	if err := s.Truncate(0); err != nil {
		return err
	}
	_, err := s.Seek(0, io.SeekStart)
	return err
}
