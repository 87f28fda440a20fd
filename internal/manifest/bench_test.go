package manifest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
)

// files is a Store of a directory, as a tree's state is one.
type files string

func (s files) name(d manifest.Digest) string { return filepath.Join(string(s), d.String()) }

func (s files) ReadSegment(d manifest.Digest) ([]byte, error) { return os.ReadFile(s.name(d)) }

func (s files) WriteSegment(d manifest.Digest, data []byte) error {
	return os.WriteFile(s.name(d), data, 0o644)
}

func (s files) ReadSegmentAt(d manifest.Digest, buf []byte, offset int64) error {
	f, err := os.Open(s.name(d))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(buf, offset)
	return err
}

func benchPath(i int) string {
	return fmt.Sprintf("packages/%07d/project_%07d-1.0-py3-none-any.whl", i/2, i)
}

func many(n int) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		e := manifest.Entry{Kind: manifest.Object, Size: 12345}
		for i := range n {
			e.Path = benchPath(i)
			binary.LittleEndian.PutUint64(e.Digest[:], uint64(i)*0x9e3779b97f4a7c15)
			if !yield(e, nil) {
				return
			}
		}
	}
}

// BenchmarkManifest tells what each operation costs at four sizes. Cost must
// grow with what is asked for, not with the manifest, and memory not at all.
// It measures once, whatever the benchmark time.
func BenchmarkManifest(b *testing.B) {
	for _, n := range []int{1e4, 1e5, 1e6, 1e7} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			store := files(b.TempDir())
			rng := rand.New(rand.NewPCG(1, 2))
			took := func(what string, per int, f func() error) {
				b.Helper()
				start := time.Now()
				if err := f(); err != nil {
					b.Fatal(err)
				}
				d := time.Since(start)
				b.Logf("%8d entries: %-40s %12s, %9.2f µs each", n, what, d.Round(time.Microsecond), d.Seconds()*1e6/float64(max(per, 1)))
			}
			var m, next *manifest.Manifest
			took("write", n, func() (err error) { m, err = manifest.Write(store, many(n)); return err })
			took("read all", n, func() error { return drain(m.All()) })
			look := func(of *manifest.Manifest, i int) error {
				if _, ok, err := of.Lookup(benchPath(i)); err != nil || !ok {
					return fmt.Errorf("%s: found %v, %v", benchPath(i), ok, err)
				}
				return nil
			}
			random := func() (err error) {
				for i := 0; i < 20_000 && err == nil; i++ {
					err = look(m, rng.IntN(n))
				}
				return err
			}
			took("20,000 look-ups at random, segments proved", 20_000, random)
			took("20,000 more", 20_000, random)
			took("all by ascending path", n, func() (err error) {
				for i := 0; i < n && err == nil; i++ {
					err = look(m, i)
				}
				return err
			})
			took("1,000 directories", 1000, func() (err error) {
				for i := 0; i < 1000 && err == nil; i++ {
					err = drain(m.Under(fmt.Sprintf("packages/%07d/", rng.IntN(n/2))))
				}
				return err
			})
			took("edit of one entry", 1, func() (err error) { next, err = edit(m, n, n/2); return err })
			took("difference of one entry", 1, func() error { return count(manifest.Diff(m, next), 1) })
			took("edit of 1 %", n/100, func() (err error) { next, err = edit(m, n, 100); return err })
			took("difference of 1 %", n/100, func() error { return count(manifest.Diff(m, next), n/100) })
			b.Logf("%8d entries: peak memory of the process %d MB", n, peak()>>20)
		})
	}
}

func drain(all iter.Seq2[manifest.Entry, error]) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// edit changes every step-th entry from the middle of the first step on.
func edit(m *manifest.Manifest, n, step int) (*manifest.Manifest, error) {
	return manifest.Edit(m, func(yield func(manifest.Change, error) bool) {
		for i := step / 2; i < n; i += step {
			e := manifest.Entry{Path: benchPath(i), Kind: manifest.Object, Digest: sha256.Sum256(nil)}
			if !yield(manifest.Change{Entry: e}, nil) || step == n/2 {
				return
			}
		}
	})
}

func count(deltas iter.Seq2[manifest.Delta, error], want int) error {
	n := 0
	for _, err := range deltas {
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d differences, want %d", n, want)
	}
	return nil
}

// peak is the most memory that the process had so far, in bytes.
func peak() int64 {
	data, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kb, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return kb << 10
}

func keys(m map[string]manifest.Entry) iter.Seq[string] { return maps.Keys(m) }
