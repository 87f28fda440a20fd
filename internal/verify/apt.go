package verify

import (
	"context"
	"os"
	"path"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
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
	for _, e := range c.indexes {
		switch path.Base(e.Path) {
		case "InRelease", "Release":
			if err := c.release(e, keys); err != nil {
				return err
			}
		}
	}
	seen := map[string]bool{} // one compression of an index is enough
	for _, e := range c.indexes {
		plain := debrepo.TrimCompression(e.Path)
		if path.Base(plain) != "Packages" || seen[plain] {
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
	if _, err := debrepo.VerifyDetached(keys, release, data); err != nil {
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
	for p, err := range debrepo.ReadPackages(plain) {
		if err != nil {
			c.report.problem("%s: %v", e.Path, err)
			return nil
		}
		if err := c.names(e.Path, p.Filename, p.Size, strings.ToLower(p.Hashes.SHA256)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
