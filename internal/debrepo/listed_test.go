package debrepo_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

func TestReadPdiffs(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	text := "SHA256-Current: " + one + " 100\nSHA256-History:\n " + one + " 90 2026-01-01-0000.00\nSHA256-Patches:\n " + one +
		" 50 2026-01-01-0000.00\nSHA256-Download:\n " + two + " 20 2026-01-01-0000.00.gz\nX-Patch-Precedence: merged\n"
	got, err := debrepo.ReadPdiffs([]byte(text))
	want := []debrepo.File{{Path: "2026-01-01-0000.00.gz", Size: 20, Hashes: debrepo.Hashes{SHA256: two}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := debrepo.ReadPdiffs([]byte("SHA256-Download:\n " + two + " 20 ../../InRelease\n")); !errors.Is(err, fault.Hostile) {
		t.Errorf("a patch elsewhere: %v, want hostile", err)
	}
}

// TestReadSums reads what sha256sum writes.
func TestReadSums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.img", "b c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"./a.img", "b c"}, {"-b", "./a.img", "b c"}} {
		cmd := exec.CommandContext(t.Context(), "sha256sum", args...)
		cmd.Dir = dir
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := debrepo.ReadSums(text)
		if err != nil || len(got) != 2 || got[0].Path != "a.img" || got[1].Path != "b c" || got[0].Size != -1 || !strings.HasPrefix(string(text), got[0].Hashes.SHA256) {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	bad := map[string]fault.Kind{strings.Repeat("1", 64) + "  ../../InRelease": fault.Hostile, "<html>": fault.Malformed}
	for text, kind := range bad {
		if _, err := debrepo.ReadSums([]byte(text)); !errors.Is(err, kind) {
			t.Errorf("%q: %v, want %s", text, err, kind)
		}
	}
}

func FuzzListed(f *testing.F) {
	f.Add([]byte("SHA256-Download:\n " + strings.Repeat("2", 64) + " 20 x.gz\n"))
	f.Add([]byte(strings.Repeat("2", 64) + "  ./x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, read := range []func([]byte) ([]debrepo.File, error){debrepo.ReadPdiffs, debrepo.ReadSums} {
			files, err := read(text)
			if err != nil && fault.KindOf(err) == "" {
				t.Fatal(err)
			}
			for _, file := range files {
				if !filepath.IsLocal(file.Path) {
					t.Fatalf("%q", file.Path)
				}
			}
		}
	})
}
