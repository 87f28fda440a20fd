package dir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/dir"
)

func TestARegionOfANewerFormatIsRefused(t *testing.T) {
	at := t.TempDir()
	if err := dir.Setup(at, "dfw"); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(at, ".*", "id"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	if err := os.WriteFile(names[0], []byte(`{"region":"dfw","format":2,"since":"9.3"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, serving := dir.New(dir.Options{Dir: at, Region: "dfw", Mirror: "m", Tree: "t"}).Serving(context.Background())
	for what, err := range map[string]error{"set up": dir.Setup(at, "dfw"), "read": serving} {
		if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "9.3") {
			t.Errorf("a region of format 2 is %s: %v", what, err)
		}
	}
}
