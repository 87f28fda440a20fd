package service_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/service"
)

func aKey(t *testing.T) string {
	t.Helper()
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// keyFile has the converter use these lines.
func keyFile(t *testing.T, lines ...string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(service.KeyEnv, name)
}

// TestLargeValuesAreCompressed: a spec of many mirrors crosses in a fraction of
// its size, and what is small stays readable in the Web UI.
func TestLargeValuesAreCompressed(t *testing.T) {
	c, err := service.Converter()
	if err != nil {
		t.Fatal(err)
	}
	small, large := "held: removes 3 objects", strings.Repeat("project-name ", 100_000)
	p, err := c.ToPayloads(small, large)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(p.Payloads[0].Data, []byte(small)) || proto.Size(p.Payloads[1]) > len(large)/50 {
		t.Errorf("%q, %d bytes of %d", p.Payloads[0].Data, proto.Size(p.Payloads[1]), len(large))
	}
	var a, b string
	if err := c.FromPayloads(p, &a, &b); err != nil || a != small || b != large {
		t.Errorf("%v", err)
	}
}

// TestValuesAreUnreadableWithoutTheKey: with a key file nothing crosses in the
// open, a new key goes before the old one, and who has neither reads nothing.
func TestValuesAreUnreadableWithoutTheKey(t *testing.T) {
	open, err := service.Converter()
	if err != nil {
		t.Fatal(err)
	}
	before, err := open.ToPayloads("written before")
	if err != nil {
		t.Fatal(err)
	}
	old, secret := aKey(t), strings.Repeat("netrc of the upstream ", 2000)
	keyFile(t, "# of this year", old)
	c, err := service.Converter()
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.ToPayloads(secret)
	if err != nil || bytes.Contains(p.Payloads[0].Data, []byte("netrc")) || proto.Size(p) > len(secret)/10 {
		t.Fatalf("%v, %d bytes of %d", err, proto.Size(p), len(secret))
	}
	keyFile(t, aKey(t), old)
	var got string
	if err := service.Decode(p, &got); err != nil || got != secret {
		t.Errorf("with the old key in second place: %v", err)
	}
	if err := service.Decode(before, &got); err != nil || got != "written before" {
		t.Errorf("what was written before there was a key: %q, %v", got, err)
	}
	keyFile(t, aKey(t))
	if err := service.Decode(p, &got); err == nil || !strings.Contains(err.Error(), "has no key") {
		t.Errorf("with another key: %v", err)
	}
	t.Setenv(service.KeyEnv, "")
	if err := service.Decode(p, &got); err == nil {
		t.Error("it was read without a key")
	}
	p.Payloads[0].Data[20] ^= 1
	keyFile(t, old)
	if err := service.Decode(p, &got); err == nil {
		t.Error("a changed value was read")
	}
}

func TestBadKeyFiles(t *testing.T) {
	for what, lines := range map[string][]string{"no key": {"# none"}, "a short one": {"c2hvcnQ="}, "no base64": {"$$$"}} {
		keyFile(t, lines...)
		if _, err := service.Converter(); !errors.Is(err, fault.Config) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Setenv(service.KeyEnv, "/nowhere")
	if _, err := service.Converter(); !errors.Is(err, fault.Config) {
		t.Errorf("no file: %v", err)
	}
}
