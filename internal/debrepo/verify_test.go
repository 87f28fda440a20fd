package debrepo_test

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
)

const releaseText = "Origin: Test\nSuite: stable\nDate: Fri, 01 Jan 2021 00:00:00 UTC\n- dash: yes\nSHA256:\n"

var signedAt = debrepotest.Epoch.Add(365 * 24 * time.Hour)

func clearsign(t testing.TB, text string, at time.Time, keys ...*openpgp.Entity) []byte {
	t.Helper()
	b, err := debrepo.Clearsign([]byte(text), at, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerify(t *testing.T) {
	ours, next, stranger := debrepotest.NewKey("ours"), debrepotest.NewKey("next"), debrepotest.NewKey("stranger")
	shortLived := debrepotest.NewExpiringKey("short", 30*24*time.Hour)
	revoked := debrepotest.NewKey("revoked")
	good := clearsign(t, releaseText, signedAt, ours)
	byRevoked := clearsign(t, releaseText, signedAt, revoked)
	if err := revoked.RevokeKey(packet.KeySuperseded, "", nil); err != nil {
		t.Fatal(err)
	}
	compromised := debrepotest.NewKey("compromised")
	byCompromised := clearsign(t, releaseText, signedAt, compromised)
	if err := compromised.RevokeKey(packet.KeyCompromised, "", nil); err != nil {
		t.Fatal(err)
	}
	keyring := debrepo.NewKeyring(ours, next, shortLived, revoked, compromised)

	tests := []struct {
		name string
		data []byte
		ok   bool
	}{
		{"one good signature", good, true},
		{"trailing white space", append(bytes.Clone(good), " \r\n\t\n"...), false},
		{"a blank line after the block", append(bytes.Clone(good), '\n'), false},
		{"carriage returns", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), true},
		{"a stranger's signature beside ours", clearsign(t, releaseText, signedAt, stranger, ours), true},
		{"our key that has expired since", clearsign(t, releaseText, debrepotest.Epoch.Add(time.Hour), shortLived), false},
		{"superseded after the signature", byRevoked, false},
		{"compromised at any time", byCompromised, false},
		{"stranger only", clearsign(t, releaseText, signedAt, stranger), false},
		{"empty", nil, false},
		{"unsigned", []byte(releaseText), false},
		{"text before the block", append([]byte("Suite: evil\n"), good...), false},
		{"blank line before the block", append([]byte("\n"), good...), false},
		{"text after the block", append(bytes.Clone(good), "Suite: evil\n"...), false},
		{"second block", append(bytes.Clone(good), good...), false},
		{"block of a stranger first", append(clearsign(t, "Suite: evil\n", signedAt, stranger), good...), false},
		{"changed text", bytes.Replace(good, []byte("stable"), []byte("sneaky"), 1), false},
		{"cut short", good[:len(good)-20], false},
		{"portal page", []byte("<html><body>Please log in</body></html>"), false},
		{"unescaped dash line", bytes.Replace(good, []byte("- - dash"), []byte("- dash"), 1), false},
		{"another armor header", bytes.Replace(good, []byte("Hash: "), []byte("Comment: "), 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, signer, err := debrepo.Verify(keyring, tt.data)
			if !tt.ok {
				if !errors.Is(err, fault.Unproved) || signed != nil {
					t.Fatalf("Verify = %q, %v; want an unproved failure", signed, err)
				}
				return
			}
			if err != nil || string(signed) != releaseText || len(signer) != 40 {
				t.Fatalf("Verify = %q, %q, %v", signed, signer, err)
			}
		})
	}
}

func TestVerifyRefusesKeyExpiredAtSigning(t *testing.T) {
	key := debrepotest.NewExpiringKey("short", 30*24*time.Hour)
	if _, err := debrepo.Clearsign([]byte(releaseText), signedAt, key); !errors.Is(err, fault.Config) {
		t.Fatalf("signing with an expired key: %v", err)
	}
	// The same secret key, its self-signature saying that it never expires, signs;
	// the keyring holds the key that expires.
	data := clearsign(t, releaseText, debrepotest.Epoch.Add(time.Hour), key)
	then := debrepo.NewKeyring(key).At(func() time.Time { return debrepotest.Epoch.Add(2 * time.Hour) })
	if _, _, err := debrepo.Verify(then, data); err != nil {
		t.Fatal(err)
	}
	if signer := then.Fingerprints()[0]; !then.Expires(signer).Equal(debrepotest.Epoch.Add(30 * 24 * time.Hour)) {
		t.Errorf("expires %v", then.Expires(signer))
	}
	for _, id := range key.Identities {
		old := *id.SelfSignature.KeyLifetimeSecs
		*id.SelfSignature.KeyLifetimeSecs = 0
		data = clearsign(t, releaseText, signedAt, key)
		*id.SelfSignature.KeyLifetimeSecs = old
	}
	if _, _, err := debrepo.Verify(debrepo.NewKeyring(key), data); !errors.Is(err, fault.Unproved) {
		t.Fatalf("signature after the key's expiry: %v", err)
	}
}

func TestVerifyDetached(t *testing.T) {
	ours, stranger := debrepotest.NewKey("ours"), debrepotest.NewKey("stranger")
	keyring := debrepo.NewKeyring(ours)
	sign := func(k *openpgp.Entity) []byte {
		b, err := debrepo.SignDetached([]byte(releaseText), signedAt, k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var binary bytes.Buffer
	if err := openpgp.DetachSign(&binary, ours, strings.NewReader(releaseText), nil); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		text string
		sig  []byte
		ok   bool
	}{
		{"armored", releaseText, sign(ours), true},
		{"binary", releaseText, binary.Bytes(), true},
		{"stranger", releaseText, sign(stranger), false},
		{"changed text", releaseText + "x", sign(ours), false},
		{"empty signature", releaseText, nil, false},
		{"a key instead", releaseText, debrepotest.PublicKeys(ours), false},
		{"page instead", releaseText, []byte("<html>"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := debrepo.VerifyDetached(keyring, []byte(tt.text), tt.sig)
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, fault.Unproved) {
				t.Fatalf("err = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// TestVerifyRelease takes armored blocks, one or several, and nothing else.
func TestVerifyRelease(t *testing.T) {
	ours, stranger := debrepotest.NewKey("ours"), debrepotest.NewKey("stranger")
	sign := func(text string, k *openpgp.Entity) []byte {
		b, err := debrepo.SignDetached([]byte(text), signedAt, k)
		if err != nil {
			t.Fatal(err)
		}
		return append(bytes.TrimRight(b, "\n"), '\n')
	}
	var binary bytes.Buffer
	if err := openpgp.DetachSign(&binary, ours, strings.NewReader(releaseText), nil); err != nil {
		t.Fatal(err)
	}
	mine, theirs := sign(releaseText, ours), sign(releaseText, stranger)
	for name, c := range map[string]struct {
		sig []byte
		ok  bool
	}{
		"armored":                          {mine, true},
		"without the last line's end":      {bytes.TrimRight(mine, "\n"), true},
		"a stranger's and ours":            {append(bytes.Clone(theirs), mine...), true},
		"ours and a stranger's":            {append(bytes.Clone(mine), theirs...), true},
		"a stranger's":                     {theirs, false},
		"binary":                           {binary.Bytes(), false},
		"a blank line between":             {bytes.Join([][]byte{mine, mine}, []byte("\n")), false},
		"ours, and ours over another text": {append(bytes.Clone(mine), sign("other\n", ours)...), false},
		"nothing":                          {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := debrepo.VerifyRelease(debrepo.NewKeyring(ours), []byte(releaseText), c.sig); c.ok != (err == nil) || err != nil && !errors.Is(err, fault.Unproved) {
				t.Errorf("err = %v, want ok %v", err, c.ok)
			}
		})
	}
}

// TestPublicKeys hands out public keys, and nothing else that a file may hold.
func TestPublicKeys(t *testing.T) {
	key := debrepotest.NewKey("a")
	var secret bytes.Buffer
	if err := key.SerializePrivate(&secret, nil); err != nil {
		t.Fatal(err)
	}
	public := debrepotest.PublicKeys(key)
	for name, data := range map[string][]byte{
		"binary": public, "armored": debrepotest.ArmoredKeys(key),
		"a remark": append([]byte("password: hunter2\n\n"), debrepotest.ArmoredKeys(key)...),
	} {
		got, err := debrepo.PublicKeys(data)
		if err != nil || !bytes.Equal(got, public) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(public), err)
		}
	}
	for name, data := range map[string][]byte{
		"a secret key": secret.Bytes(), "a public and a secret key": append(bytes.Clone(public), secret.Bytes()...),
		"no key": []byte("machine example.org login me password hunter2\n"), "nothing": nil,
	} {
		if got, err := debrepo.PublicKeys(data); !errors.Is(err, fault.Config) || got != nil {
			t.Errorf("%s: %d bytes, %v; want config", name, len(got), err)
		}
	}
}

func TestVerifyRefusesWeakDigest(t *testing.T) {
	key, err := openpgp.NewEntity("old", "", "old@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 1024, Time: func() time.Time { return debrepotest.Epoch }})
	if err != nil {
		t.Fatal(err)
	}
	for hash, ok := range map[crypto.Hash]bool{crypto.SHA1: false, crypto.SHA256: true} {
		sig := &packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: packet.PubKeyAlgoRSA, Hash: hash, CreationTime: signedAt, IssuerKeyId: &key.PrimaryKey.KeyId}
		h := hash.New()
		h.Write([]byte(releaseText))
		if err := sig.Sign(h, key.PrivateKey, &packet.Config{NonDeterministicSignaturesViaNotation: new(bool)}); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := sig.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := debrepo.VerifyDetached(debrepo.NewKeyring(key), []byte(releaseText), b.Bytes()); ok != (err == nil) {
			t.Errorf("%v: %v", hash, err)
		}
	}
}

func TestReadKeyring(t *testing.T) {
	a, b := debrepotest.NewKey("a"), debrepotest.NewKey("b")
	tests := []struct {
		name string
		data []byte
		keys int // 0: an error
	}{
		{"binary", debrepotest.PublicKeys(a, b), 2},
		{"armored blocks in a row", debrepotest.ArmoredKeys(a, b), 2},
		{"armored with a remark before", append([]byte("archive key\n\n"), debrepotest.ArmoredKeys(a)...), 1},
		{"empty", nil, 0},
		{"not a keyring", []byte("deb http://archive.example.org stable main\n"), 0},
		{"a signature", clearsign(t, releaseText, signedAt, a), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := debrepo.ReadKeyring(bytes.NewReader(tt.data))
			if tt.keys == 0 {
				if !errors.Is(err, fault.Config) {
					t.Fatalf("err = %v, want config", err)
				}
				return
			}
			if err != nil || len(k.Fingerprints()) != tt.keys {
				t.Fatalf("ReadKeyring = %v, %v", k, err)
			}
			if _, _, err := debrepo.Verify(k, clearsign(t, releaseText, signedAt, a)); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	key := debrepotest.NewKey("fuzz")
	good := clearsign(f, releaseText, signedAt, key)
	f.Add(good)
	f.Add(append(bytes.Clone(good), "x"...))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"))
	keyring := debrepo.NewKeyring(key)
	f.Fuzz(func(t *testing.T, data []byte) {
		signed, _, err := debrepo.Verify(keyring, data)
		if err == nil && string(signed) != releaseText {
			t.Fatalf("accepted another text: %q", signed)
		}
		if err != nil && !errors.Is(err, fault.Unproved) {
			t.Fatalf("err = %v", err)
		}
		_, _ = debrepo.VerifyDetached(keyring, []byte(releaseText), data)
		if _, err := debrepo.VerifyRelease(keyring, []byte("other"), data); err == nil {
			t.Fatal("accepted a signature over another text")
		}
	})
}
