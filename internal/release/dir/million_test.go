package dir_test

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
)

// BenchmarkMillion is promise 6: one change among a million objects costs like
// one change. It runs once, whatever the benchmark time: setting up takes longer.
func BenchmarkMillion(t *testing.B) {
	region, open := setup(t)
	src := &origin{dir: filepath.Join(filepath.Dir(region), "tree")}
	million := func(extra string) iter.Seq[manifest.Entry] {
		return func(yield func(manifest.Entry) bool) {
			for i := range 1000 {
				for j := range 1000 {
					if !yield(object(fmt.Sprintf("pool/%03d/%03d", i, j), "x")) {
						return
					}
				}
				if i == 500 && extra != "" && !yield(object("pool/500/"+extra, "x")) {
					return
				}
			}
		}
	}
	for i := range 1000 {
		if err := os.MkdirAll(filepath.Join(src.dir, fmt.Sprintf("pool/%03d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
		first := filepath.Join(src.dir, fmt.Sprintf("pool/%03d/000", i))
		if err := os.WriteFile(first, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for j := 1; j < 1000; j++ {
			if err := os.Link(first, filepath.Join(src.dir, fmt.Sprintf("pool/%03d/%03d", i, j))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(src.dir, "pool/500/new"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{"", "new", ""} {
		src.next(t, million(extra))
		start := time.Now()
		if _, err := open().Publish(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		published := time.Since(start)
		if _, err := open().Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("published in %s, tidied up in %s", published, time.Since(start)-published)
	}
}
