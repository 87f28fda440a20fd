package dir_test

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// BenchmarkWide releases one change at a time to a region with 200,000
// objects and a directory of 100,000 project directories, while 24,000 dropped
// objects wait: what a Python package index of that size costs with each serial.
// It runs once, whatever the benchmark time.
func BenchmarkWide(b *testing.B) {
	dropped := 24_000
	projects := 100_000
	if s := os.Getenv("BENCH_PROJECTS"); s != "" {
		projects, _ = strconv.Atoi(s)
		dropped = projects / 4
	}
	region, _ := setup(b)
	now := begin
	open := func() *dir.Region {
		return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: "demo", Tree: treeID, Holder: "bench",
			Policy: backend.Policy{Grace: 24 * time.Hour, Keep: 90 * time.Minute, Every: time.Hour}, Now: func() time.Time { return now }})
	}
	src := &origin{dir: filepath.Join(filepath.Dir(region), "tree")}
	content := func(edition int) iter.Seq[manifest.Entry] {
		return func(yield func(manifest.Entry) bool) {
			for i := range 2 * projects {
				if edition > 0 && i%8 == 0 && i < 8*dropped {
					continue
				}
				if !yield(object(fmt.Sprintf("packages/%02x/%06d", i*256/(2*projects), i), "x")) {
					return
				}
			}
			for i := range projects {
				data := "x"
				if i == edition {
					data = "y"
				}
				if !yield(object(fmt.Sprintf("simple/project%06d/index.json", i), data)) {
					return
				}
			}
		}
	}
	i := 0
	for e := range content(0) {
		linkTo(b, filepath.Join(src.dir, fmt.Sprint("all", i>>15)), filepath.Join(src.dir, e.Path), "x")
		i++
	}
	for edition := range 8 { // from the fifth on, a view expires with each
		for i, data := range map[int]string{edition - 1: "x", edition: "y"} {
			if i >= 0 {
				name := filepath.Join(src.dir, fmt.Sprintf("simple/project%06d/index.json", i))
				if err := os.WriteFile(name+".new", []byte(data), 0o644); err != nil {
					b.Fatal(err)
				}
				if err := os.Rename(name+".new", name); err != nil {
					b.Fatal(err)
				}
			}
		}
		src.next(b, content(edition))
		timed := func(f func() error) time.Duration {
			b.Helper()
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			return time.Since(start).Round(time.Millisecond)
		}
		published := timed(func() error { _, err := open().Publish(b.Context(), src); return err })
		confirmed := timed(func() error { return open().Confirm(b.Context(), "dfw", src.gen.Number) })
		var out backend.Reaped
		reap := func() (err error) { out, err = open().Reap(b.Context()); return err }
		tidied, again := timed(reap), timed(reap)
		b.Logf("generation %d: published in %s, confirmed in %s, tidied up in %s (%d expired), looked at again in %s (%d waiting)",
			edition+1, published, confirmed, tidied, out.Expired, again, out.Waiting)
		now = now.Add(time.Hour)
	}
}

// linkTo makes name, with its directory, a link to a file with that content.
func linkTo(tb testing.TB, file, name, data string) {
	tb.Helper()
	err := os.Link(file, name)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			if err = os.WriteFile(file, []byte(data), 0o644); err == nil {
				err = os.Link(file, name)
			}
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}
