package verify

import (
	"context"
	"io"
	"iter"
	"os"
	"path"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

const (
	maxRelease = 32 << 20
	maxPlain   = 4 << 30
)

// apt checks the changed suites: the signature, the digest of every mirrored
// index that Release names, and every package that an index names.
func (c *checker) apt(ctx context.Context) error {
	keys, err := readKeys(c.o.Keyring)
	if err != nil {
		return err
	}
	if c.o.Now != nil {
		keys = keys.At(c.o.Now)
	}
	for _, e := range c.indexes {
		// Directories of architectures have a small Release of their own, which
		// nobody signs: it is an index like any other.
		base, of := path.Base(e.Path), path.Base(path.Dir(e.Path))
		if base == "InRelease" || base == "Release" && of != "source" && !strings.HasPrefix(of, "binary-") {
			if err := c.release(e, keys); err != nil {
				return err
			}
		}
	}
	seen := map[string]bool{} // one compression of an index is enough
	for _, e := range c.indexes {
		plain := debrepo.TrimCompression(e.Path)
		if base := path.Base(plain); base != "Packages" && base != "Sources" || seen[plain] {
			continue
		}
		seen[plain] = true
		if err := c.packages(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func readKeys(name string) (*debrepo.Keyring, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "verify: read keyring", Subject: name, Err: err, Advice: "give the path of upstream's archive keys"}
	}
	defer f.Close()
	return debrepo.ReadKeyring(f)
}

func (c *checker) release(e manifest.Entry, keys *debrepo.Keyring) error {
	data, ok, err := c.read(e, maxRelease)
	if err != nil || !ok {
		return err
	}
	dir := path.Dir(e.Path)
	text := data
	if path.Base(e.Path) == "InRelease" {
		if text, _, err = debrepo.Verify(keys, data); err != nil {
			c.report.problem("%s: %v", e.Path, err)
			return nil
		}
	} else if err := c.detached(dir, data, keys); err != nil {
		return err
	}
	rel, err := debrepo.ParseRelease(text)
	if err != nil {
		c.report.problem("%s: %v", e.Path, err)
		return nil
	}
	for _, f := range rel.Files {
		if _, mirrored, err := c.m.Lookup(path.Join(dir, f.Path)); err != nil {
			return err
		} else if mirrored {
			if err := c.names(e.Path, path.Join(dir, f.Path), f.Size, f.Hashes.SHA256); err != nil {
				return err
			}
		}
	}
	return nil
}

// detached checks Release against the Release.gpg beside it, unless InRelease says it all.
func (c *checker) detached(dir string, release []byte, keys *debrepo.Keyring) error {
	sig, ok, err := c.m.Lookup(path.Join(dir, "Release.gpg"))
	if err != nil {
		return err
	}
	if !ok {
		c.report.problem("%s/Release has no signature", dir)
		return nil
	}
	data, ok, err := c.read(sig, maxRelease)
	if err != nil || !ok {
		return err
	}
	if _, err := debrepo.VerifyRelease(keys, release, data); err != nil {
		c.report.problem("%s: %v", sig.Path, err)
	}
	return nil
}

func (c *checker) packages(ctx context.Context, e manifest.Entry) error {
	f, err := c.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := debrepo.Decompress(e.Path, f, maxPlain)
	if err != nil {
		c.report.problem("%s: %v", e.Path, err)
		return nil
	}
	defer plain.Close()
	return c.named(ctx, e, files(e.Path, plain))
}

// files yields what the stanzas of an index name. What nobody can download is passed over.
func files(index string, r io.Reader) iter.Seq2[debrepo.File, error] {
	return func(yield func(debrepo.File, error) bool) {
		if path.Base(debrepo.TrimCompression(index)) == "Sources" {
			for s, err := range debrepo.ReadSources(r) {
				for _, f := range s.Files {
					if !yield(f, nil) {
						return
					}
				}
				if err != nil && !yield(debrepo.File{}, err) {
					return
				}
			}
			return
		}
		for p, err := range debrepo.ReadPackages(r) {
			if p.Flaw == "" && !yield(debrepo.File{Path: p.Filename, Size: p.Size, Hashes: p.Hashes}, err) {
				return
			}
		}
	}
}

// named checks that the generation holds the files, but for those that it says are missing upstream.
func (c *checker) named(ctx context.Context, index manifest.Entry, files iter.Seq2[debrepo.File, error]) error {
	for f, err := range files {
		if err != nil {
			c.report.problem("%s: %v", index.Path, err)
			return nil
		}
		if missing, err := c.isMissing(f); err != nil {
			return err
		} else if missing {
			continue
		}
		if err := c.names(index.Path, f.Path, f.Size, f.Hashes.SHA256); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// isMissing reports whether the generation lists a file as one that upstream
// does not have, under that digest.
func (c *checker) isMissing(f debrepo.File) (bool, error) {
	for _, m := range c.missing {
		if e, ok, err := m.Lookup(f.Path); err != nil || ok && e.Size == f.Size && (f.Hashes.SHA256 == "" || f.Hashes.SHA256 == e.Digest.String()) {
			return ok, err
		}
	}
	return false, nil
}

// readMissing opens the generation's tables of what is missing.
func (c *checker) readMissing(g *tree.Generation) error {
	for name := range g.Aux {
		if !strings.HasPrefix(name, debrepo.MissingTable("")) {
			continue
		}
		m, err := c.t.Table(g, name)
		if err != nil {
			return err
		}
		c.missing = append(c.missing, m)
	}
	return nil
}
