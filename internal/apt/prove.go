package apt

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
)

// prove returns the SHA-256 of an object of which the index gives only the
// SHA-512: what the tree holds is hashed, anything else downloaded into the state.
func (b *builder) prove(e manifest.Entry, sum512 string) (manifest.Digest, error) {
	held, ok, err := b.was.Lookup(e.Path)
	if err != nil {
		return e.Digest, err
	}
	if ok && held.Size == e.Size {
		if same, err := b.holds(e.Path, sum512); err == nil && same {
			return held.Digest, nil
		}
	}
	b.fetched = true
	res, err := b.e.keepContent(b.ctx, b.t, fetch.Request{Path: e.Path, Size: e.Size, SHA512: sum512, Max: max(e.Size, 1)})
	if err != nil {
		return e.Digest, err
	}
	return manifest.ParseDigest(res.SHA256)
}

func (b *builder) holds(p, sum512 string) (bool, error) {
	f, err := b.t.OpenFile(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha512.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)) == sum512, err
}

// settleTwice decides between two digests for one path: with tolerance it is
// what the suite named before, or else what upstream serves.
func (b *builder) settleTwice() error {
	out := b.entries[:0]
	for _, e := range b.entries {
		last := len(out) - 1
		if last < 0 || out[last].Path != e.Path {
			out = append(out, e)
			continue
		}
		err := malformed(e.Path, fmt.Errorf("listed with %s (%d bytes) and with %s (%d bytes)", out[last].Digest, out[last].Size, e.Digest, e.Size))
		if !b.e.cfg.Tolerate || e.Kind != manifest.Object || out[last].Kind != manifest.Object || b.isMissing(e.Path) {
			return err
		}
		chosen, other, stop := b.choose(out[last], e)
		if stop != nil {
			return stop
		}
		out[last] = chosen
		b.missing = append(b.missing, other)
		b.leave(err)
	}
	b.entries = out
	return nil
}

func (b *builder) isMissing(p string) bool {
	n := len(b.missing)
	return n > 0 && b.missing[n-1].Path == p
}

func (b *builder) choose(x, y manifest.Entry) (chosen, other manifest.Entry, err error) {
	held, ok, err := b.was.Lookup(x.Path)
	switch {
	case err != nil:
		return x, y, err
	case ok && held == y:
		return y, x, nil
	case ok && held == x:
		return x, y, nil
	}
	b.fetched = true
	err = b.e.keepObject(b.ctx, b.t, x)
	if stop := stops(b.ctx, err); stop != nil {
		return x, y, stop
	}
	if errors.Is(err, fault.Unproved) {
		return y, x, nil
	}
	return x, y, nil // if it cannot be had, the fetch says so
}

// each yields entries as a manifest takes them.
func each(entries []manifest.Entry) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}
