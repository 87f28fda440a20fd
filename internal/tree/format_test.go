package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// TestANewerFormatIsRefused: what a later version laid out says which one reads it.
func TestANewerFormatIsRefused(t *testing.T) {
	for _, where := range []string{"trees/demo/.mirror/id", "state/demo/id"} {
		dir := t.TempDir()
		cfg := tree.At(dir+"/trees", dir+"/state", "demo")
		if _, err := tree.Setup(cfg, "demo"); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, where)
		data, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(data), `"format":1`) {
			t.Fatalf("%s: %s, %v", where, data, err)
		}
		newer := strings.Replace(string(data), `"format":1`, `"format":2,"since":"9.3"`, 1)
		if err := os.WriteFile(name, []byte(newer), 0o644); err != nil {
			t.Fatal(err)
		}
		_, setup := tree.Setup(cfg, "demo")
		_, open := tree.Open(cfg)
		for what, err := range map[string]error{"set up": setup, "opened": open} {
			if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "9.3") {
				t.Errorf("%s of format 2 is %s: %v", where, what, err)
			}
		}
		if after, _ := os.ReadFile(name); string(after) != newer {
			t.Errorf("%s was changed", where)
		}
	}
}

// TestAChangedKindIsRefused: what clients have of a mirror is not dropped because
// its name stands for another kind now.
func TestAChangedKindIsRefused(t *testing.T) {
	dir := t.TempDir()
	cfg := tree.At(dir+"/trees", dir+"/state", "demo")
	cfg.Kind = "apt"
	if _, err := tree.Setup(cfg, "demo"); err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.Kind = "pypi"
	_, setup := tree.Setup(other, "demo")
	_, open := tree.Open(other)
	for what, err := range map[string]error{"set up": setup, "opened": open} {
		if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "another name") {
			t.Errorf("a tree of apt is %s for pypi: %v", what, err)
		}
	}
	cfg.Kind = "" // who only serves it does not ask
	if _, err := tree.Read(cfg); err != nil {
		t.Error(err)
	}
}
