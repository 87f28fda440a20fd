package demo

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// kept is what a restart needs beside the key.
type kept struct {
	Seed  uint64    `json:"seed"`
	Step  int       `json:"step"`
	Start time.Time `json:"start"` // of the first run: upload times count from it
	Date  time.Time `json:"date"`  // the newest Date that was signed
}

const (
	keyName   = "demo.key"
	stateName = "demo.json"
)

// restore reads what Dir keeps, or begins anew. The key is written first: a
// state without its key would sign for clients that do not know the new one.
func restore(o Options) (kept, *openpgp.Entity, error) {
	k := kept{Seed: o.Seed, Start: o.Now().UTC().Truncate(time.Second)}
	if o.Dir == "" {
		return k, debrepotest.NewKey("demo"), nil
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return k, nil, fmt.Errorf("demo: make directory: %w", err)
	}
	key, err := restoreKey(filepath.Join(o.Dir, keyName))
	if err != nil {
		return k, nil, err
	}
	name := filepath.Join(o.Dir, stateName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return k, key, nil
	}
	if err != nil {
		return k, nil, fmt.Errorf("demo: read state: %w", err)
	}
	if err := json.Unmarshal(data, &k); err != nil || k.Step < 0 {
		return k, nil, corrupt(name, err)
	}
	return k, key, nil
}

func restoreKey(name string) (*openpgp.Entity, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		key := debrepotest.NewKey("demo")
		var b bytes.Buffer
		if err := key.SerializePrivateWithoutSigning(&b, &packet.Config{DefaultHash: crypto.SHA256}); err != nil {
			return nil, fmt.Errorf("demo: write key: %w", err)
		}
		return key, write(name, b.Bytes(), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("demo: read key: %w", err)
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(data))
	if err != nil || len(keys) != 1 || keys[0].PrivateKey == nil {
		return nil, corrupt(name, err)
	}
	return keys[0], nil
}

func corrupt(name string, err error) error {
	return &fault.Error{Kind: fault.Corrupt, Op: "demo: read", Subject: name, Err: err,
		Advice: "remove the demo's directory to begin anew"}
}

func save(dir string, k kept) error {
	if dir == "" {
		return nil
	}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, stateName), data, 0o644)
}

// write replaces a file by a synced one.
func write(name string, data []byte, mode fs.FileMode) error {
	if err := durable.Replace(name, data, mode); err != nil {
		return fmt.Errorf("demo: write: %w", err)
	}
	return nil
}
