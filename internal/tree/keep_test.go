package tree_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/tree"
)

// TestRollbackKeep: a generation, and what the next one dropped, stay for so long.
func TestRollbackKeep(t *testing.T) {
	for keep, stays := range map[time.Duration]bool{time.Hour: false, 3 * time.Hour: true} {
		dir := setup(t)
		tr, err := tree.Open(config(dir, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		for _, c := range story[:2] { // the second one drops pool/a.deb
			if err := commit(tr, c); err != nil {
				t.Fatal(err)
			}
		}
		_, expired, err := tr.Tend(t.Context(), config(dir, nil).Now().Add(2*time.Hour), keep, nil)
		_, gone := os.Stat(filepath.Join(tr.Dir(), "pool/a.deb"))
		if err != nil || (expired == 0) != stays || (gone == nil) != stays {
			t.Errorf("kept for %s: %d generations went; %v; %v", keep, expired, gone, err)
		}
	}
}
