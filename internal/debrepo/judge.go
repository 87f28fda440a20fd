package debrepo

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// maxAhead is how far ahead of our clock a signature may be dated.
const maxAhead = 10 * time.Second

// minBits is the least length of an RSA or DSA key that is trusted.
const minBits = 2048

// errBad is a signature by a known key that does not fit the text.
var errBad = errors.New("the signature does not fit the text")

// VerifyRelease checks a Release file against Release.gpg by the same rules as
// Verify. apt takes armored blocks, one or several, and nothing beside them.
func VerifyRelease(keyring *Keyring, release, sig []byte) (signer string, err error) {
	const op, subject = "debrepo: verify", "Release.gpg"
	var all []*packet.Signature
	for rest := sig; len(rest) > 0; {
		block := armoredBlock(rest)
		if block == nil {
			return "", unproved(op, subject, errors.New("not only armored signatures"))
		}
		rest = rest[len(block):]
		decoded, err := armor.Decode(bytes.NewReader(block))
		if err != nil {
			return "", unproved(op, subject, err)
		}
		signatures, err := readSignatures(decoded.Body, maxSignatures-len(all))
		if err != nil {
			return "", unproved(op, subject, err)
		}
		all = append(all, signatures...)
	}
	if signer, err = keyring.judge(release, all); err != nil {
		return "", unproved(op, subject, err)
	}
	return signer, nil
}

// armoredBlock returns the armored signature that data begins with, nil if it begins with none.
func armoredBlock(data []byte) []byte {
	if line, _, _ := bytes.Cut(data, []byte{'\n'}); !bytes.Equal(bytes.TrimRight(line, "\r"), beginSignature) {
		return nil
	}
	end := bytes.Index(data, append([]byte{'\n'}, endSignature...))
	if end < 0 {
		return nil
	}
	line, _, _ := bytes.Cut(data[end+1:], []byte{'\n'})
	if !bytes.Equal(bytes.TrimRight(line, "\r"), endSignature) {
		return nil
	}
	return data[:min(end+1+len(line)+1, len(data))]
}

func readSignatures(r io.Reader, most int) (out []*packet.Signature, err error) {
	packets := packet.NewReader(r)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		sig, ok := p.(*packet.Signature)
		if !ok || len(out) >= most {
			return nil, errors.New("not a plain list of signatures")
		}
		out = append(out, sig)
	}
}

// judge decides as apt does: one good signature is enough, and one that is bad,
// by a key of the keyring over another text, spoils them all. It returns the
// fingerprint of the signer whose key lasts longest.
func (k *Keyring) judge(text []byte, signatures []*packet.Signature) (signer string, err error) {
	failure := errors.New("no signature")
	for _, sig := range signatures {
		by, err := k.judgeOne(text, sig)
		switch {
		case errors.Is(err, errBad):
			return "", err
		case err != nil:
			failure = err
		case signer == "" || lastsLonger(k.Expires(by), k.Expires(signer)):
			signer = by
		}
	}
	if signer == "" {
		return "", failure
	}
	return signer, nil
}

// lastsLonger compares times of which zero is never.
func lastsLonger(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

func (k *Keyring) judgeOne(text []byte, sig *packet.Signature) (signer string, err error) {
	if sig.IssuerKeyId == nil {
		return "", errors.New("a signature that names no key")
	}
	failure := fmt.Errorf("key %016X is not in the keyring", *sig.IssuerKeyId)
	for _, key := range k.entities.KeysById(*sig.IssuerKeyId) {
		// Keys without flags may sign: old archives have them.
		if key.SelfSignature == nil || key.SelfSignature.FlagsValid && !key.SelfSignature.FlagSign {
			continue
		}
		if failure = judgeForm(sig); failure != nil {
			break
		}
		h, err := sig.PrepareVerify()
		if err != nil {
			failure = err
			break
		}
		over := io.Writer(h)
		if sig.SigType == packet.SigTypeText {
			over = openpgp.NewCanonicalTextHash(h)
		}
		_, _ = over.Write(text) // a hash takes everything
		if err := key.PublicKey.VerifySignature(h, sig); err != nil {
			failure = fmt.Errorf("%w: %w", errBad, err)
			continue
		}
		if failure = judgeKey(key, sig, k.time()); failure == nil {
			return fmt.Sprintf("%X", key.Entity.PrimaryKey.Fingerprint), nil
		}
	}
	return "", fmt.Errorf("signature by key %016X: %w", *sig.IssuerKeyId, failure)
}

// judgeForm refuses signatures that prove nothing, whoever made them.
func judgeForm(sig *packet.Signature) error {
	switch sig.Hash {
	case crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return fmt.Errorf("a weak digest (%v)", sig.Hash)
	}
	if sig.SigType != packet.SigTypeBinary && sig.SigType != packet.SigTypeText {
		return fmt.Errorf("type %#x, not over a document", byte(sig.SigType))
	}
	return nil
}

// judgeKey decides by now, as gpgv does: an old signature does not outlive its key.
func judgeKey(key openpgp.Key, sig *packet.Signature, now time.Time) error {
	primary, identity := key.Entity.PrimarySelfSignature()
	switch {
	case sig.CreationTime.After(now.Add(maxAhead)):
		return fmt.Errorf("dated %s, in the future", sig.CreationTime.UTC().Format(time.RFC3339))
	case sig.SigLifetimeSecs != nil && *sig.SigLifetimeSecs != 0 && sig.SigExpired(now.Add(maxAhead)):
		return errors.New("the signature has expired (EXPSIG)")
	case key.Entity.Revoked(now), key.PublicKey != key.Entity.PrimaryKey && key.Revoked(now), identity != nil && identity.Revoked(now):
		return errors.New("the key was revoked (REVKEYSIG)")
	case primary == nil:
		return errors.New("the key has no signature of its own")
	case key.Entity.PrimaryKey.KeyExpired(primary, now), key.PublicKey.KeyExpired(key.SelfSignature, now):
		return errors.New("the key has expired (EXPKEYSIG)")
	}
	return judgeLength(key.PublicKey)
}

func judgeLength(key *packet.PublicKey) error {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoDSA:
	default:
		return nil
	}
	bits, err := key.BitLength()
	if err == nil && bits < minBits {
		err = fmt.Errorf("the key has %d bits, fewer than %d", bits, minBits)
	}
	return err
}

// Expires returns when signatures by a key of the keyring, named by the
// fingerprint of its primary key, stop to be valid, zero for never: when the
// primary key expires, or the last of its subkeys that may sign.
func (k *Keyring) Expires(fingerprint string) time.Time {
	for _, e := range k.entities {
		if fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) != fingerprint {
			continue
		}
		self, _ := e.PrimarySelfSignature()
		if self == nil {
			return time.Time{}
		}
		end := expiry(e.PrimaryKey, self)
		var last time.Time
		signs := self.FlagsValid && self.FlagSign || !self.FlagsValid
		for _, sub := range e.Subkeys {
			if !sub.Sig.FlagsValid || !sub.Sig.FlagSign || sub.Revoked(k.time()) {
				continue
			}
			if at := expiry(sub.PublicKey, sub.Sig); at.IsZero() {
				signs = true
			} else if at.After(last) {
				last = at
			}
		}
		if !signs && !last.IsZero() && lastsLonger(end, last) {
			end = last
		}
		return end
	}
	return time.Time{}
}

func expiry(key *packet.PublicKey, self *packet.Signature) time.Time {
	if self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return key.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
}
