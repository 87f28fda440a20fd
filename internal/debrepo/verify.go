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
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"mirrorcycle/internal/fault"
)

// maxSignatures bounds the work that one signature block can ask for.
const maxSignatures = 32

// Verify checks an InRelease file and returns the text that was signed and the
// fingerprint of the key that signed it.
//
// It judges as apt does with gpgv. The file must be exactly one cleartext-signed
// block, with nothing before or after it. One good signature by a key of the
// keyring is enough, as archives sign with several keys while they rotate, and a
// bad one spoils it. Now the key must be neither expired nor revoked, nor the
// signature expired, and it must not use MD5, SHA-1 or RIPEMD-160. Stricter than
// apt 2.6, as later ones are, it refuses signatures of the future and RSA and DSA
// keys of fewer than 2,048 bits. Every failure is fault.Unproved.
func Verify(keyring *Keyring, inRelease []byte) (signed []byte, signer string, err error) {
	const op = "debrepo: verify"
	if err := checkOneBlock(inRelease); err != nil {
		return nil, "", unproved(op, "InRelease", err)
	}
	block, rest := clearsign.Decode(inRelease)
	if block == nil {
		return nil, "", unproved(op, "InRelease", errors.New("no readable cleartext-signed block"))
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, "", unproved(op, "InRelease", errors.New("data after the signed block"))
	}
	signatures, err := readSignatures(block.ArmoredSignature.Body, maxSignatures)
	if err == nil {
		signer, err = keyring.judge(block.Bytes, signatures)
	}
	if err != nil {
		return nil, "", unproved(op, "InRelease", err)
	}
	return append(block.Plaintext, '\n'), signer, nil
}

// VerifyDetached checks a text against a signature beside it, armored or binary:
// one good signature is enough, by a key that was valid when it was made.
func VerifyDetached(keyring *Keyring, release, sig []byte) (signer string, err error) {
	var body io.Reader = bytes.NewReader(sig)
	if trimmed := bytes.TrimLeft(sig, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP")) {
		block, err := armor.Decode(bytes.NewReader(trimmed))
		if err != nil {
			return "", unproved("debrepo: verify", "detached signature", err)
		}
		body = block.Body
	}
	signer, err = keyring.check(release, body)
	if err != nil {
		return "", unproved("debrepo: verify", "detached signature", err)
	}
	return signer, nil
}

// check returns the fingerprint of the first signature that holds.
func (k *Keyring) check(text []byte, signatures io.Reader) (string, error) {
	packets := packet.NewReader(signatures)
	failure := errors.New("no signature")
	for n := 0; ; n++ {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return "", failure
		}
		if err != nil {
			return "", err
		}
		sig, ok := p.(*packet.Signature)
		if !ok || n >= maxSignatures {
			return "", errors.New("not a plain list of signatures")
		}
		signer, err := k.checkOne(bytes.NewReader(text), sig)
		if err == nil {
			return signer, nil
		}
		failure = err
	}
}

// VerifyReader checks one binary signature packet, or a list of them of which the first counts, over a text that is read once.
func (k *Keyring) VerifyReader(text io.Reader, sig []byte) (signer string, err error) {
	p, err := packet.NewReader(bytes.NewReader(sig)).Next()
	if err != nil {
		return "", err
	}
	s, ok := p.(*packet.Signature)
	if !ok {
		return "", errors.New("not a signature")
	}
	return k.checkOne(text, s)
}

func (k *Keyring) checkOne(text io.Reader, sig *packet.Signature) (string, error) {
	switch sig.Hash {
	case crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return "", fmt.Errorf("signature with a weak digest (%v)", sig.Hash)
	}
	if sig.SigType != packet.SigTypeBinary && sig.SigType != packet.SigTypeText {
		return "", fmt.Errorf("signature of type %#x, not over a document", byte(sig.SigType))
	}
	var one bytes.Buffer
	if err := sig.Serialize(&one); err != nil {
		return "", err
	}
	at := func() time.Time { return sig.CreationTime }
	_, signer, err := openpgp.VerifyDetachedSignature(k.entities, text, &one, &packet.Config{Time: at})
	if err != nil {
		if sig.IssuerKeyId != nil {
			err = fmt.Errorf("signature by key %016X: %w", *sig.IssuerKeyId, err)
		}
		return "", err
	}
	return fmt.Sprintf("%X", signer.PrimaryKey.Fingerprint), nil
}

var (
	beginMessage   = []byte("-----BEGIN PGP SIGNED MESSAGE-----")
	beginSignature = []byte("-----BEGIN PGP SIGNATURE-----")
	endSignature   = []byte("-----END PGP SIGNATURE-----")
)

// checkOneBlock walks the lines of a cleartext-signed message and refuses
// everything that is not part of the one block. It is stricter than a decoder
// that looks for markers, which skips what stands before them.
func checkOneBlock(data []byte) error {
	const (
		atStart = iota
		inHeader
		inText
		inSignature
		atEnd
	)
	state := atStart
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		switch state {
		case atStart:
			if !bytes.Equal(line, beginMessage) {
				return errors.New("does not begin with a cleartext-signed block")
			}
			state = inHeader
		case inHeader:
			if len(line) == 0 {
				state = inText
			} else if !bytes.HasPrefix(line, []byte("Hash: ")) {
				return errors.New("unknown header in the signed block")
			}
		case inText:
			if bytes.Equal(line, beginSignature) {
				state = inSignature
			} else if len(line) > 0 && line[0] == '-' && !bytes.HasPrefix(line, []byte("- ")) {
				return errors.New("line that is not dash-escaped in the signed block")
			}
		case inSignature:
			if bytes.Equal(line, endSignature) {
				state = atEnd
			}
		case atEnd:
			return errors.New("data after the signed block")
		}
	}
	if state != atEnd {
		return errors.New("signed block is cut short")
	}
	return nil
}

func unproved(op, subject string, err error) error {
	return &fault.Error{Kind: fault.Unproved, Op: op, Subject: subject, Err: err,
		Advice: "check the keyring of this mirror and whether something answers in upstream's place"}
}
