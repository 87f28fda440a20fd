package debrepotest

import (
	"bytes"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Epoch is when generated keys begin to be valid.
var Epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// NewKey generates an Ed25519 signing key that is valid from Epoch for ever.
func NewKey(name string) *openpgp.Entity { return NewExpiringKey(name, 0) }

// NewExpiringKey generates a signing key that expires so long after Epoch; 0 is never.
func NewExpiringKey(name string, lifetime time.Duration) *openpgp.Entity {
	e, err := openpgp.NewEntity(name, "", name+"@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		KeyLifetimeSecs: uint32(lifetime / time.Second),
		Time:            func() time.Time { return Epoch },
	})
	if err != nil {
		panic("debrepotest: generate key: " + err.Error()) // only without entropy
	}
	return e
}

// PublicKeys exports keys as one binary keyring, as /usr/share/keyrings has them.
func PublicKeys(keys ...*openpgp.Entity) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&b); err != nil {
			panic("debrepotest: export key: " + err.Error())
		}
	}
	return b.Bytes()
}

// ArmoredKeys exports each key as an armored block of its own, one after the other.
func ArmoredKeys(keys ...*openpgp.Entity) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
		if err == nil {
			err = k.Serialize(w)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			panic("debrepotest: export key: " + err.Error())
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
