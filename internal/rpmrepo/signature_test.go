package rpmrepo_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo"
)

func keyring(t testing.TB, names ...string) *rpmrepo.Keyring {
	t.Helper()
	var all []byte
	for _, name := range names {
		data, err := os.ReadFile("testdata/" + name + ".asc")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	k, err := debrepo.ReadKeyring(bytes.NewReader(all))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The packages are of rpm 4.18 with a signature of version 3, and of rpm 6.
func TestProve(t *testing.T) {
	for _, name := range []string{"v3", "v6"} {
		data, err := os.ReadFile("testdata/" + name + ".rpm")
		if err != nil {
			t.Fatal(err)
		}
		prove := func(data []byte, keys *rpmrepo.Keyring) error {
			_, err := rpmrepo.Prove("a.rpm", bytes.NewReader(data), keys)
			return err
		}
		if err := prove(data, keyring(t, "v3", "v6")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := rpmrepo.ProveHeader("a.rpm", bytes.NewReader(data), keyring(t, name)); err != nil {
			t.Errorf("%s: header: %v", name, err)
		}
		other := map[string]string{"v3": "v6", "v6": "v3"}[name]
		if err := prove(data, keyring(t, other)); !errors.Is(err, fault.Unproved) {
			t.Errorf("%s with another key: %v", name, err)
		}
		payload := bytes.Clone(data)
		payload[len(payload)-3] ^= 1
		if err := prove(payload, keyring(t, name)); !errors.Is(err, fault.Unproved) {
			t.Errorf("%s with another payload: %v", name, err)
		}
		header := bytes.Clone(data)
		i := bytes.LastIndex(header, []byte{0x8e, 0xad, 0xe8, 0x01})
		header[i+40] ^= 1
		if err := prove(header, keyring(t, name)); err == nil {
			t.Errorf("%s with another header is proved", name)
		}
		for _, n := range []int{0, 50, 100, 120, 2000, len(data) - 1} {
			if err := prove(data[:n], keyring(t, name)); err == nil {
				t.Errorf("%s cut to %d bytes is proved", name, n)
			}
		}
		// An rpm whose signatures are renamed away is unsigned.
		unsigned := bytes.Clone(data)
		for _, tag := range [][]byte{{0, 0, 1, 12, 0, 0, 0, 7}, {0, 0, 1, 22, 0, 0, 0, 8}} {
			if j := bytes.Index(unsigned[:i], tag); j > 0 {
				unsigned[j+2] = 0x7f
			}
		}
		if err := prove(unsigned, keyring(t, name)); !errors.Is(err, fault.Unproved) {
			t.Errorf("%s without signature: %v", name, err)
		}
	}
	huge := append(make([]byte, 96), 0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff)
	copy(huge, []byte{0xed, 0xab, 0xee, 0xdb})
	if _, err := rpmrepo.Prove("a.rpm", bytes.NewReader(huge), keyring(t, "v3")); !errors.Is(err, fault.Malformed) {
		t.Errorf("a header of 4 GiB: %v", err)
	}
}
