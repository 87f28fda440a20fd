package reqsource_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/reqsource"
)

const secretive = "alpha==1 # hunter2\n--index-url https://user:hunter2@example.org/simple\nbeta @ https://user:hunter2@example.org/b.zip\n"

// kept looks for the secret in all files of a state.
func kept(t *testing.T, state string) {
	t.Helper()
	err := filepath.WalkDir(state, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if strings.Contains(string(data), "hunter2") {
			t.Errorf("%s: %s", name, data)
		}
		if info, err := d.Info(); err == nil && d.Name() != "wanted" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoSecretIsKept(t *testing.T) {
	dir := t.TempDir()
	cfg := reqsource.Config{File: dir + "/global", State: t.TempDir(), Environments: platforms}
	write(t, cfg.File, secretive)
	out, err := bring(t, cfg)
	notes := strings.Join(out.Notes, "\n")
	if err != nil || out.Pins != 1 || !strings.Contains(notes, "/global:2: ") || strings.Contains(notes, "hunter2") {
		t.Fatal(out, err)
	}
	kept(t, cfg.State)
	if again, err := bring(t, cfg); err != nil || again.Changed || strings.Join(again.Notes, "\n") != notes {
		t.Error("from the state:", again, err)
	}

	// Older versions kept the texts as they came.
	sum := sha256.Sum256([]byte(secretive))
	texts, err := filepath.Glob(cfg.State + "/requirements/text/*")
	if err != nil || len(texts) != 1 {
		t.Fatal(texts, err)
	}
	source := cfg.State + "/requirements/source"
	record, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	write(t, source, strings.ReplaceAll(string(record), filepath.Base(texts[0]), hex.EncodeToString(sum[:])))
	write(t, filepath.Join(filepath.Dir(texts[0]), hex.EncodeToString(sum[:])), secretive)
	if err := os.Remove(cfg.File); err != nil { // so that nothing but the state answers
		t.Fatal(err)
	}
	if out, err = bring(t, cfg); err != nil || out.Pins != 1 || len(out.Stale) != 1 {
		t.Error("from an older state:", out, err)
	}
	kept(t, cfg.State)
}
