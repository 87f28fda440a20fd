package wheels_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/requirements"
)

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// want lets these pins be wanted on all platforms.
func (m *mill) want(pins ...string) {
	m.t.Helper()
	var names []string
	var all []requirements.Pin
	for _, p := range pins {
		name, version, _ := strings.Cut(p, "===")
		names = append(names, name)
		all = append(all, requirements.Pin{Name: name, Version: version})
	}
	w := requirements.Wanted{Platforms: map[string][]requirements.Pin{}}
	for _, p := range m.platforms() {
		w.Platforms[p] = all
	}
	data, err := w.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	state := filepath.Join(m.Spec.StateDir("wheels"), "requirements")
	for name, content := range map[string]string{
		filepath.Join(m.dir, "requirements.txt"): strings.Join(names, "\n") + "\n", filepath.Join(m.dir, "constraints.txt"): strings.Join(pins, "\n") + "\n",
		filepath.Join(state, "wanted"): string(data)} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			err = os.WriteFile(name, []byte(content), 0o644)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func wheelObject(name, version string) lab.Object {
	file, data := enginetest.Wheel(name, version, "py3-none-any")
	return lab.Object{Filename: file, Version: version, Data: data}
}
