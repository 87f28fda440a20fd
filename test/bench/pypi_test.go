package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/workflows"
)

// projects is a Python package index of small wheels, on disk for nginx.
type projects struct {
	dir      string
	n, files int
	serials  []int64
	serial   int64
	clock    time.Time // of the pages: nginx's ETags tell whole seconds and sizes only
}

func newProjects(dir string, n, files int) (*projects, error) {
	c := &projects{dir: dir, n: n, files: files, serials: make([]int64, n), serial: 1000, clock: time.Now().Add(-1000 * time.Hour)}
	for i := range n {
		if err := c.write(i, files); err != nil {
			return nil, err
		}
	}
	return c, c.root()
}

func (c *projects) name(i int) string { return fmt.Sprintf("project-%05d", i) }

// write makes project i with versions 1 to n. Paths begin with a digest, as
// those of the largest index do, so neighbours on a page are none on disk.
func (c *projects) write(i, n int) error {
	c.serial++
	c.serials[i] = c.serial
	p := &simpleindex.Project{Name: c.name(i), LastSerial: c.serial}
	for v := 1; v <= n; v++ {
		file, data := enginetest.Wheel(c.name(i), fmt.Sprintf("%d.0", v), "py3-none-any")
		sum := sha256.Sum256(data)
		hash := hex.EncodeToString(sum[:])
		object := "packages/" + hash[:2] + "/" + hash[2:4] + "/" + hash[4:] + "/" + file
		p.Versions = append(p.Versions, fmt.Sprintf("%d.0", v))
		p.Files = append(p.Files, simpleindex.File{Filename: file, URL: "../../" + object, SHA256: hash, Size: int64(len(data))})
		if err := c.put(object, data); err != nil {
			return err
		}
	}
	return c.put("simple/"+p.Name+"/index.json", p.RenderJSON(simpleindex.RenderOptions{}))
}

func (c *projects) root() error {
	var b strings.Builder
	err := simpleindex.RenderRootJSON(&b, c.serial, func(yield func(simpleindex.RootProject) bool) {
		for i := range c.n {
			if !yield(simpleindex.RootProject{Name: c.name(i), LastSerial: c.serials[i]}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return c.put("simple/index.json", []byte(b.String()))
}

// change gives every step-th project one more version.
func (c *projects) change(step int) error {
	for i := 0; i < c.n; i += step {
		if err := c.write(i, c.files+1); err != nil {
			return err
		}
	}
	return c.root()
}

func (c *projects) put(p string, data []byte) error {
	name := filepath.Join(c.dir, p)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, data, 0o644); err != nil || !strings.HasSuffix(p, ".json") {
		return err
	}
	c.clock = c.clock.Add(time.Second)
	return os.Chtimes(name, c.clock, c.clock)
}

// BenchmarkPyPICycle measures whole cycles through Temporal over an index of
// small wheels: the first, one with nothing new, and one in which 1 % of the
// projects changed. BENCH_PYPI gives other sizes, as in "500x3,20000x2".
func BenchmarkPyPICycle(b *testing.B) {
	sizes := os.Getenv("BENCH_PYPI")
	if sizes == "" {
		sizes = "2000x5,20000x2"
	}
	for size := range strings.SplitSeq(sizes, ",") {
		b.Run(size, func(b *testing.B) {
			var n, files int
			if _, err := fmt.Sscanf(size, "%dx%d", &n, &files); err != nil {
				b.Fatalf("BENCH_PYPI: %q: %v", size, err)
			}
			for b.Loop() {
				pypiCycles(b, n, files)
			}
		})
	}
}

func pypiCycles(b *testing.B, n, files int) {
	c, err := newProjects(filepath.Join(b.TempDir(), "index"), n, files)
	if err != nil {
		b.Fatal(err)
	}
	syscall.Sync() // the cycle's syncs must not write the index out, too
	h := lab.New(b, lab.Options{Regions: []string{"here"}, NoWork: true, Every: "1h", Keep: "1h", Mirrors: fmt.Sprintf(
		"[[mirror]]\nname = \"pypi\"\nkind = \"pypi\"\nupstream = [%q]\nprojects = [\"*\"]\n[limits]\ndownloads = 32\nper-host = 32\n", nginx(b, c.dir))})
	memory := worker(b, h)
	timed := func(what string, want workflows.Outcome) {
		b.Helper()
		cpu, start := busy(), time.Now()
		d := cycle(b, h, want)
		report(b, n*files, what, d)
		b.Logf("CPU: %s", busy().since(cpu))
		if all, err := stages(context.Background(), h.Client, start); err != nil {
			b.Error(err)
		} else {
			b.Logf("activities, in seconds: %s", all)
		}
	}
	timed("first cycle", workflows.Done)
	timed("cycle with nothing new", workflows.Unchanged)
	if err := c.change(100); err != nil {
		b.Fatal(err)
	}
	timed("cycle after a change of 1 %", workflows.Done)
	b.Logf("peak memory of the worker: %d MB", memory()>>20)
}
