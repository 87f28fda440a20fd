package yum

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// keyAttempts is how often a key is asked for before its answer counts.
const keyAttempts = 3

// readKey fetches the public key beside repomd.xml, by which clients begin to
// trust the repository. Nothing says what it must be, so an answer that is no key,
// or none where the tree has one, is asked for again. What stays is left out, told;
// where the tree has a key, that one stays.
func (b *builder) readKey(ctx context.Context, f *fetched) error {
	name := path.Join(b.repo.dir, keyName)
	had, err := b.mirroredKey(name)
	if err != nil {
		return err
	}
	for range keyAttempts {
		if f.key, _, err = b.e.optional(ctx, f.src, name); err != nil {
			return err
		}
		if f.key == nil && had == nil || isPublicKey(f.key) {
			return nil
		}
	}
	if f.key != nil {
		told := &fault.Error{Kind: fault.Unproved, Op: "yum: read key", Subject: name, Err: errors.New("it is no OpenPGP public key"),
			Advice: "nothing to do: it is left as it was, and clients take the key of the client files; tell who runs the upstream"}
		b.notes = append(b.notes, tree.Note{Unit: b.repo.dir, Kind: string(told.Kind), Error: told.Error()})
	}
	f.key = had
	return nil
}

// mirroredKey returns the key that the tree has, nil if it has none.
func (b *builder) mirroredKey(name string) ([]byte, error) {
	g, err := b.t.Committed()
	if err != nil || g == nil {
		return nil, err
	}
	m, err := b.t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	e, ok, err := m.Lookup(name)
	if err != nil || !ok {
		return nil, err
	}
	key, err := readIndex(b.t, e.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// isPublicKey reports whether data looks like public keys that came whole: armored
// (RFC 9580, section 6) or binary, which begins with a packet's tag (section 4.2).
func isPublicKey(data []byte) bool {
	_, rest, armored := bytes.Cut(data, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
	if armored {
		return bytes.Contains(rest, []byte("-----END PGP PUBLIC KEY BLOCK-----"))
	}
	return len(data) > 1 && data[0]&0x80 != 0
}
