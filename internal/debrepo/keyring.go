package debrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"mirrorcycle/internal/fault"
)

// Keyring holds the public keys that a mirror trusts.
type Keyring struct {
	entities openpgp.EntityList
	now      func() time.Time // nil is time.Now
}

// At judges keys and signatures by another clock.
func (k *Keyring) At(now func() time.Time) *Keyring {
	return &Keyring{entities: k.entities, now: now}
}

func (k *Keyring) time() time.Time {
	if k.now == nil {
		return time.Now()
	}
	return k.now()
}

// maxKeyring is the largest keyring file read, in bytes; Debian's is 60 kB.
const maxKeyring = 16 << 20

// ReadKeyring reads public keys, binary or armored, one or many, as
// /usr/share/keyrings has them. Keys of unknown algorithms are passed over; a
// keyring without any usable key is fault.Config.
func ReadKeyring(r io.Reader) (*Keyring, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeyring+1))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "debrepo: read keyring", Err: err}
	}
	entities, err := readKeys(data)
	if err == nil && len(data) > maxKeyring {
		err = errors.New("larger than 16 MiB")
	}
	if err == nil && len(entities) == 0 {
		err = errors.New("holds no usable key")
	}
	if holdsSecret(data) {
		err = errors.New("holds a secret key")
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "debrepo: read keyring", Err: err,
			Advice: "name a file of OpenPGP public keys, such as those in /usr/share/keyrings"}
	}
	return &Keyring{entities: entities}, nil
}

func readKeys(data []byte) (openpgp.EntityList, error) {
	begin := []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")
	if !bytes.Contains(data, begin) {
		if len(data) == 0 {
			return nil, nil
		}
		return openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	var all openpgp.EntityList
	var unread error
	for {
		i := bytes.Index(data, begin)
		if i < 0 && len(all) == 0 {
			return nil, unread
		} else if i < 0 {
			return all, nil
		}
		// Each block gets its own reader: the armor decoder reads ahead, so a
		// shared one would lose the start of the next block.
		next := bytes.Index(data[i+len(begin):], begin)
		end := len(data)
		if next >= 0 {
			end = i + len(begin) + next
		}
		block, err := armor.Decode(bytes.NewReader(data[i:end]))
		if err != nil {
			return nil, err
		}
		// A block without a usable key is passed over; what is left decides.
		entities, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			unread = err
		}
		all, data = append(all, entities...), data[end:]
	}
}

// PublicKeys reads a keyring and returns its public keys alone, in binary form:
// what clients may be handed. A file that holds a secret key, or none at all, is
// fault.Config.
func PublicKeys(data []byte) ([]byte, error) {
	if _, err := ReadKeyring(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, block := range keyBlocks(data) {
		packets := packet.NewOpaqueReader(block)
		for {
			p, err := packets.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && isPublic(p.Tag) {
				err = p.Serialize(&out)
			}
			if err != nil {
				return nil, &fault.Error{Kind: fault.Config, Op: "debrepo: read keyring", Err: err, Advice: "export the public keys anew"}
			}
		}
	}
	return out.Bytes(), nil
}

// Tags of OpenPGP packets (RFC 9580, 5).
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
)

func isPublic(tag uint8) bool {
	switch tag {
	case tagSignature, tagPublicKey, tagPublicSubkey, tagUserID, tagUserAttribute:
		return true
	}
	return false
}

// holdsSecret reports whether a keyring has a secret key in it, which it never needs.
func holdsSecret(data []byte) bool {
	if bytes.Contains(data, []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----")) {
		return true
	}
	for _, block := range keyBlocks(data) {
		packets := packet.NewOpaqueReader(block)
		for {
			p, err := packets.Next()
			if err != nil {
				break
			}
			if p.Tag == tagSecretKey || p.Tag == tagSecretSubkey {
				return true
			}
		}
	}
	return false
}

// keyBlocks returns the binary content of a keyring's blocks.
func keyBlocks(data []byte) (out []io.Reader) {
	if !bytes.Contains(data, beginKey) {
		return []io.Reader{bytes.NewReader(data)}
	}
	for _, part := range bytes.SplitAfter(data, endKey) {
		if i := bytes.Index(part, beginKey); i >= 0 {
			if block, err := armor.Decode(bytes.NewReader(part[i:])); err == nil {
				out = append(out, block.Body)
			}
		}
	}
	return out
}

var (
	beginKey = []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")
	endKey   = []byte("-----END PGP PUBLIC KEY BLOCK-----")
)

// NewKeyring makes a keyring of keys at hand, such as those of debrepotest.
func NewKeyring(keys ...*openpgp.Entity) *Keyring { return &Keyring{entities: keys} }

// Fingerprints lists the primary keys in upper-case hexadecimal.
func (k *Keyring) Fingerprints() []string {
	out := make([]string, 0, len(k.entities))
	for _, e := range k.entities {
		out = append(out, fmt.Sprintf("%X", e.PrimaryKey.Fingerprint))
	}
	return out
}

// Entities returns the keys themselves, for formats that sign in other ways than archives.
func (k *Keyring) Entities() openpgp.EntityList { return k.entities }
