package debrepo_test

import (
	"bytes"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

func TestArmoredBlockOfUnknownAlgorithm(t *testing.T) {
	a, b := debrepotest.NewKey("a"), debrepotest.NewKey("b")
	raw := debrepotest.PublicKeys(a)
	// tag, length, version 4, time, algorithm
	i := 1
	switch {
	case raw[0]&0x40 != 0 && raw[1] < 192:
		i = 2
	case raw[0]&0x40 != 0:
		i = 3
	case raw[0]&3 == 0:
		i = 2
	default:
		i = 3
	}
	t.Logf("version %d algorithm %d", raw[i], raw[i+5])
	raw[i+5] = 99
	for _, unarmored := range []bool{true, false} {
		var buf bytes.Buffer
		if unarmored {
			buf.Write(raw)
			buf.Write(debrepotest.PublicKeys(b))
		} else {
			w, err := armor.Encode(&buf, "PGP PUBLIC KEY BLOCK", nil)
			if err == nil {
				_, err = w.Write(raw)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			buf.WriteString("\n")
			buf.Write(debrepotest.ArmoredKeys(b))
		}
		k, err := debrepo.ReadKeyring(&buf)
		if err != nil || len(k.Fingerprints()) != 1 {
			t.Errorf("binary %v: keyring %v, %v", unarmored, k, err)
		}
	}
}
