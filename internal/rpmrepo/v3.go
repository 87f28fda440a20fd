package rpmrepo

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// v3 is an OpenPGP signature of version 3 (RFC 4880, 5.2.2), which rpm wrote for
// long and libraries no longer read.
type v3 struct {
	tail    []byte // type and time: what is hashed after the text
	created time.Time
	keyID   uint64
	hash    crypto.Hash
	value   []byte
}

var errPacket = errors.New("a signature that cannot be read")

// parseV3 reads a packet; ok is false if it is no signature of version 3.
func parseV3(packet []byte) (s v3, ok bool, err error) {
	body, err := packetBody(packet)
	if err != nil || len(body) == 0 || body[0] != 3 {
		return s, false, err
	}
	const fixed = 19
	if len(body) < fixed+2 || body[1] != 5 {
		return s, false, errPacket
	}
	if body[2] > 1 {
		return s, false, fmt.Errorf("a signature of type %#x, not over a document", body[2])
	}
	const rsaSign, rsaAny = 3, 1
	if body[15] != rsaAny && body[15] != rsaSign {
		return s, false, fmt.Errorf("a version 3 signature with algorithm %d", body[15])
	}
	s.hash, ok = hashes[body[16]]
	if !ok {
		return s, false, fmt.Errorf("a signature with a weak or unknown digest (%d)", body[16])
	}
	s.tail, s.keyID = body[2:7], binary.BigEndian.Uint64(body[7:])
	s.created = time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0)
	bits := int(binary.BigEndian.Uint16(body[fixed:]))
	if s.value = body[fixed+2:]; len(s.value) != (bits+7)/8 {
		return s, false, errPacket
	}
	return s, true, nil
}

// packetBody returns the body of a signature packet with an old or new length.
func packetBody(p []byte) ([]byte, error) {
	if len(p) < 2 || p[0]&0x80 == 0 {
		return nil, errPacket
	}
	const signature = 2
	kind, n, header := p[0]>>2&0xf, 0, 0
	if p[0]&0x40 != 0 { // new format
		kind = p[0] & 0x3f
		switch {
		case p[1] < 192:
			n, header = int(p[1]), 2
		case p[1] < 224 && len(p) > 2:
			n, header = int(p[1]-192)<<8+int(p[2])+192, 3
		case p[1] == 255 && len(p) > 5:
			n, header = int(binary.BigEndian.Uint32(p[2:])), 6
		default:
			return nil, errPacket
		}
	} else {
		switch size := p[0] & 3; {
		case size == 0:
			n, header = int(p[1]), 2
		case size == 1 && len(p) > 2:
			n, header = int(binary.BigEndian.Uint16(p[1:])), 3
		case size == 2 && len(p) > 4:
			n, header = int(binary.BigEndian.Uint32(p[1:])), 5
		default:
			return nil, errPacket
		}
	}
	if kind != signature || n < 0 || n > len(p)-header {
		return nil, errPacket
	}
	return p[header : header+n], nil
}

// check holds the signature against the keys of its ID. A key must be neither
// revoked nor expired at the time of the signature.
func (s v3) check(keys *Keyring, text io.Reader) (string, error) {
	h := s.hash.New()
	if _, err := io.Copy(h, text); err != nil {
		return "", err
	}
	h.Write(s.tail)
	sum := h.Sum(nil)
	failure := fmt.Errorf("signature by key %016X, which the keyring lacks", s.keyID)
	for _, k := range keys.Entities().KeysById(s.keyID) {
		public, ok := k.PublicKey.PublicKey.(*rsa.PublicKey)
		if !ok {
			continue
		}
		value := make([]byte, public.Size())
		if len(s.value) > len(value) {
			continue
		}
		copy(value[len(value)-len(s.value):], s.value)
		if err := rsa.VerifyPKCS1v15(public, s.hash, sum, value); err != nil {
			failure = fmt.Errorf("signature by key %016X: %w", s.keyID, err)
			continue
		}
		if k.Entity.Revoked(s.created) || k.Revoked(s.created) || k.SelfSignature != nil && k.PublicKey.KeyExpired(k.SelfSignature, s.created) {
			failure = fmt.Errorf("signature by key %016X, which was revoked or had expired", s.keyID)
			continue
		}
		return fmt.Sprintf("%X", k.Entity.PrimaryKey.Fingerprint), nil
	}
	return "", failure
}
