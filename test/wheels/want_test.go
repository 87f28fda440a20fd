package wheels_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/lab"
)

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// want lets these pins be wanted on all platforms.
func (m *mill) want(pins ...string) {
	m.t.Helper()
	var names []string
	for _, p := range pins {
		name, _, _ := strings.Cut(p, "===")
		names = append(names, name)
	}
	for name, lines := range map[string][]string{"requirements.txt": names, "constraints.txt": pins} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

func wheelObject(name, version string) lab.Object {
	file, data := enginetest.Wheel(name, version, "py3-none-any")
	return lab.Object{Filename: file, Version: version, Data: data}
}
