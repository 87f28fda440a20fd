package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
)

// yum checks the changed repositories: the signature of repomd.xml or those of
// the packages, the checksum of every data file that repomd.xml names, and
// every package that the primary names.
func (c *checker) yum(ctx context.Context) error {
	var keys *rpmrepo.Keyring
	if c.o.Keyring != "" {
		var err error
		if keys, err = readKeys(c.o.Keyring); err != nil {
			return err
		}
	}
	for _, e := range c.indexes {
		dir, ok := strings.CutSuffix("/"+e.Path, "/repodata/repomd.xml")
		if !ok {
			continue
		}
		if err := c.repository(ctx, e, strings.TrimPrefix(dir, "/"), keys); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) repository(ctx context.Context, e manifest.Entry, dir string, keys *rpmrepo.Keyring) error {
	text, ok, err := c.read(e, rpmrepo.MaxRepomd)
	if err != nil || !ok {
		return err
	}
	md, err := rpmrepo.ParseRepomd(text)
	if err != nil {
		c.report.problem("%s: %v", e.Path, err)
		return nil
	}
	signed := false
	if keys != nil && c.o.Proof != ProofPackages {
		if signed, err = c.repomdSignature(e, text, keys); err != nil {
			return err
		}
	}
	switch {
	case !signed && keys != nil && c.o.Proof == ProofBoth:
		c.report.problem("%s has no signature, and proof = \"both\" asks for one", e.Path)
	case signed && c.o.Proof != ProofBoth:
		keys = nil // it leads to every package
	}
	for _, d := range md.Data {
		p, err := rpmrepo.ResolveData(dir, d.Href)
		if d.Base != "" {
			continue // clients go elsewhere
		}
		if err == nil {
			err = c.summed(e.Path, p, d.Size, d.Checksum, true)
		}
		if err != nil && fault.KindOf(err) == "" {
			return err
		}
		if err != nil {
			c.report.problem("%s: %v", e.Path, err)
		} else if d.Type == "primary" {
			if err := c.primary(ctx, dir, p, keys); err != nil {
				return err
			}
		}
	}
	return nil
}

// repomdSignature checks repomd.xml.asc, if the generation has one; without, packages must prove themselves.
func (c *checker) repomdSignature(e manifest.Entry, text []byte, keys *rpmrepo.Keyring) (signed bool, err error) {
	asc, ok, err := c.m.Lookup(e.Path + ".asc")
	if err != nil || !ok {
		return false, err
	}
	data, ok, err := c.read(asc, maxRelease)
	if err != nil || !ok {
		return true, err // reported as damaged
	}
	if _, err := rpmrepo.ProveRepomd(keys, text, data); err != nil {
		c.report.problem("%s: %v", asc.Path, err)
	}
	return true, nil
}

// summed checks that an index's promise of a path is kept by the manifest. A
// checksum that the manifest does not have is made from the file.
func (c *checker) summed(index, p string, size int64, sum rpmrepo.Checksum, read bool) error {
	if sum.Type == "sha256" {
		return c.names(index, p, size, sum.Hex)
	}
	if err := c.names(index, p, size, ""); err != nil || !read {
		return err
	}
	f, err := c.t.OpenFile(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // reported already
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := sum.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum.Hex {
		c.report.problem("%s names %s with %s, the file has %s", index, p, sum, got)
	}
	return nil
}

// primary checks every package that a primary names. With keys, the
// signatures of those that are new are checked, too.
func (c *checker) primary(ctx context.Context, dir, name string, keys *rpmrepo.Keyring) error {
	e, ok, err := c.m.Lookup(name)
	if err != nil || !ok {
		return err
	}
	f, err := c.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := debrepo.Decompress(name, f, maxPlain)
	if err != nil {
		c.report.problem("%s: %v", name, err)
		return nil
	}
	defer plain.Close()
	for p, err := range rpmrepo.ReadPrimary(plain) {
		if err != nil {
			c.report.problem("%s: %v", name, err)
			return nil
		}
		if p.Base != "" {
			continue // clients go elsewhere
		}
		if err := errors.Join(ctx.Err(), c.rpm(dir, name, p, keys)); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) rpm(dir, index string, p rpmrepo.Package, keys *rpmrepo.Keyring) error {
	at, err := rpmrepo.Resolve(dir, p.Href)
	if err != nil {
		c.report.problem("%s: %v", index, err)
		return nil
	}
	if missing, err := c.isLeftOut(at, p.Checksum); err != nil || missing {
		return err
	}
	if err := c.summed(index, at, p.Size, p.Checksum, c.o.Deep); err != nil || keys == nil || path.Ext(at) != ".rpm" {
		return err
	}
	now, named, err := c.m.Lookup(at)
	if err != nil || !named {
		return err
	}
	if before, had, err := c.old.Lookup(at); err != nil || had && before.Digest == now.Digest {
		return err
	}
	f, err := c.t.OpenFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // reported already
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := rpmrepo.ProveHeader(at, f, keys); err != nil {
		if fault.KindOf(err) == "" {
			return err
		}
		c.report.problem("%s: %v", at, err)
	}
	return nil
}

// isLeftOut reports whether the generation lists a package as one that the
// mirror cannot have, under that checksum.
func (c *checker) isLeftOut(at string, sum rpmrepo.Checksum) (bool, error) {
	for _, m := range c.missing {
		e, ok, err := m.Lookup(at)
		if err != nil || ok && (sum.Hex == e.Digest.String() || strings.HasPrefix(e.Note, sum.String())) {
			return ok, err
		}
	}
	return false, nil
}
