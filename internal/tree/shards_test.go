package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"mirrorcycle/internal/tree"
)

// TestSmallPlansAreWorkForSeveral: a plan of any size has shards for two
// workers that are about as large as each other, and a large one few.
func TestSmallPlansAreWorkForSeveral(t *testing.T) {
	for n, most := range map[int]int{250: 1, 500: 2, 4000: 7, 40_000: 18} {
		tr := open(t, setup(t))
		w, err := tr.NewPlan(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := w.Fetch(tree.Item{Path: fmt.Sprint("pool/", i), Size: 1, SHA256: strings.Repeat("0", 64)}); err != nil {
				t.Fatal(err)
			}
		}
		w.Info().Changed = true
		digest, info, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if info.Shards > most {
			t.Errorf("%d objects: %d shards, want at most %d", n, info.Shards, most)
		}
		p, err := tr.OpenPlan(digest)
		if err != nil {
			t.Fatal(err)
		}
		got, largest := 0, 0
		for shard := range info.Shards {
			objects := 0
			for _, err := range p.Items(shard) {
				if err != nil {
					t.Fatal(err)
				}
				objects++
			}
			got, largest = got+objects, max(largest, objects)
		}
		if got != n || n > 250 && largest > n/2 || largest > 4000 {
			t.Errorf("%d objects: %d are in shards, %d of them in one", n, got, largest)
		}
	}
}
