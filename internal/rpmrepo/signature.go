package rpmrepo

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

// Tags of the two headers, as rpm's rpmtag.h numbers them.
const (
	sigDSA     = 267 // over the header
	sigRSA     = 268 // over the header
	sigOpenPGP = 278 // base64, over the header; all that rpm 6 writes
	sigPGP     = 1002
	sigGPG     = 1005

	tagPayloadSHA256 = 5092
	tagPayloadAlgo   = 5093
	tagPayloadSHA512 = 5121
)

// maxSignatures bounds the work that one package can ask for.
const maxSignatures = 8

// Keyring holds the keys that may sign.
type Keyring = debrepo.Keyring

// Prove checks that an rpm was signed by a key of the keyring: a signature over
// its header holds, and the payload has the digest that the header gives; or, as
// before rpm 4.14, a signature over header and payload holds. It accepts OpenPGP
// signatures of the versions 3, 4 and 6 with SHA-2. It reads the whole package and
// returns the fingerprint of the key. A failure is fault.Unproved.
func Prove(name string, r io.ReadSeeker, keys *Keyring) (signer string, err error) {
	sig, main, err := readHeaders(r)
	if err != nil {
		return "", malformed(name, err)
	}
	want, h := main.payload()
	if h != nil {
		if signer, err = sig.overHeader(main, keys); err != nil {
			return "", unproved(name, err)
		}
		if _, err := io.Copy(h, r); err != nil {
			return "", fmt.Errorf("rpmrepo: read %s: %w", name, err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			return "", unproved(name, fmt.Errorf("its payload has digest %s, its signed header says %s", got, want))
		}
		return signer, nil
	}
	signer, err = sig.overAll(r, int64(leadSize)+int64(len(sig.raw)+(-len(sig.raw)&7)), keys)
	if err != nil {
		return "", unproved(name, err)
	}
	return signer, nil
}

// ProveHeader is Prove without reading the payload: for a file whose content
// another digest proves. Where only a signature over everything exists, it is checked.
func ProveHeader(name string, r io.ReadSeeker, keys *Keyring) (signer string, err error) {
	sig, main, err := readHeaders(r)
	if err != nil {
		return "", malformed(name, err)
	}
	if _, h := main.payload(); h == nil {
		signer, err = sig.overAll(r, int64(leadSize)+int64(len(sig.raw)+(-len(sig.raw)&7)), keys)
	} else {
		signer, err = sig.overHeader(main, keys)
	}
	if err != nil {
		return "", unproved(name, err)
	}
	return signer, nil
}

// payload returns the digest of the payload, and the hash that makes it; nil if the header has none.
func (h header) payload() (want string, _ hash.Hash) {
	const pgpSHA256 = 8
	if algo, ok := h.int32(tagPayloadAlgo); !ok || algo == pgpSHA256 {
		if want := h.string(tagPayloadSHA256); len(want) == 2*sha256.Size {
			return want, sha256.New()
		}
	}
	if want := h.string(tagPayloadSHA512); len(want) == 2*sha512.Size {
		return want, sha512.New()
	}
	return "", nil
}

var errUnsigned = errors.New("it has no signature")

func (h header) overHeader(main header, keys *Keyring) (string, error) {
	var packets [][]byte
	for _, text := range h.strings(sigOpenPGP, maxSignatures) {
		if p, err := base64.StdEncoding.DecodeString(text); err == nil {
			packets = append(packets, p)
		}
	}
	for _, tag := range []uint32{sigRSA, sigDSA} {
		if p := h.bin(tag); p != nil {
			packets = append(packets, p)
		}
	}
	failure := errUnsigned
	for _, p := range packets {
		signer, err := check(keys, bytes.NewReader(main.raw), p)
		if err == nil {
			return signer, nil
		}
		failure = err
	}
	return "", failure
}

// overAll checks a signature of what begins at offset from to the end.
func (h header) overAll(r io.ReadSeeker, from int64, keys *Keyring) (string, error) {
	failure := errUnsigned
	for _, tag := range []uint32{sigPGP, sigGPG} {
		p := h.bin(tag)
		if p == nil {
			continue
		}
		if _, err := r.Seek(from, io.SeekStart); err != nil {
			return "", err
		}
		signer, err := check(keys, r, p)
		if err == nil {
			return signer, nil
		}
		failure = err
	}
	return "", failure
}

// check verifies one signature packet over a text.
func check(keys *Keyring, text io.Reader, packet []byte) (string, error) {
	if s, ok, err := parseV3(packet); err != nil {
		return "", err
	} else if ok {
		return s.check(keys, text)
	}
	return keys.VerifyReader(text, packet)
}

// ProveRepomd checks a repomd.xml against its repomd.xml.asc, armored or binary:
// one good signature by a key of the keyring is enough.
func ProveRepomd(keys *Keyring, repomd, asc []byte) (signer string, err error) {
	signer, err = debrepo.VerifyDetached(keys, repomd, asc)
	var of *fault.Error
	if errors.As(err, &of) && of.Err != nil {
		err = of.Err // what it says besides is of archives
	}
	if err != nil {
		return "", unproved("repomd.xml.asc", err)
	}
	return signer, nil
}

// hashes are the digests that a signature may have, by their OpenPGP number.
var hashes = map[byte]crypto.Hash{8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224}
