package debrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"mirrorcycle/internal/fault"
)

// Keyring holds the public keys that a mirror trusts.
type Keyring struct {
	entities openpgp.EntityList
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
