package backendtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"mirrorcycle/internal/tree"
)

// testReaders flips while clients read. What they read between two looks at
// the same generation.json is of that generation, to the last byte.
func testReaders(t *testing.T, h Harness) {
	const flips, readers = 12, 4
	story := make([]Content, flips)
	for i := range story {
		story[i] = Content{"pool/same/x": "x", fmt.Sprintf("pool/p%d", i%3): fmt.Sprint("object ", i%3)}
		for j := range 5 {
			story[i][fmt.Sprintf("dists/d%d/P", j)] = fmt.Sprint("index of ", i+1)
		}
		story[i]["dists/Release"] = fmt.Sprint(i + 1)
	}
	r := newRig(t, h, story...)
	r.publish(t, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	whole := make([]int, readers)
	for k := range readers {
		wg.Go(func() {
			for {
				if err := r.read(story, &whole[k]); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := 2; n <= flips; n++ {
		r.publish(t, n)
		r.served(t, int64(n), 30)
		r.reap(t)
	}
	close(done)
	wg.Wait()
	for k, n := range whole {
		if n == 0 {
			t.Errorf("reader %d saw no generation whole", k)
		}
	}
}

func (r *rig) read(story []Content, whole *int) error {
	root := r.Root(r.Regions[0])
	before, err := tree.ReadServed(root)
	if err != nil {
		return err
	}
	got := Content{}
	for p := range story[before.Number-1] {
		data, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			return fmt.Errorf("generation %d promised %s: %w", before.Number, p, err)
		}
		got[p] = string(data)
	}
	after, err := tree.ReadServed(root)
	if err != nil || after.Number != before.Number {
		return err
	}
	*whole++
	for p, want := range story[before.Number-1] {
		if got[p] != want {
			return fmt.Errorf("generation %d: %s is %q, want %q", before.Number, p, got[p], want)
		}
	}
	return nil
}
