package pypi_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
)

// BenchmarkRoot plans, settles and commits one change, and then 1,500, of an
// index of 736,000 projects, all of which are mirrored; BENCH_PROJECTS gives
// another number. It runs once, whatever the benchmark time. Of memory it tells
// by how much the process grew at most: the server with its page is part of it.
func BenchmarkRoot(b *testing.B) {
	n := 736_000
	if s := os.Getenv("BENCH_PROJECTS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	up := newLarge(n)
	server := httptest.NewServer(up)
	defer server.Close()
	cfg := pypi.Config{Upstreams: []string{server.URL}, Projects: []string{"*"}, Workers: 8, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	bench := enginetest.New(b, "large")
	t, err := tree.Open(tree.Config{Dir: filepath.Join(bench.Dir, "tree"), State: filepath.Join(bench.Dir, "state"), Holder: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	up.mirror(b, t, cfg)
	e := pypi.New(cfg, bench.Client)
	for _, changed := range []int{0, 1, 1500} {
		up.change(changed)
		before := calm(b)
		start, busy := time.Now(), cpu(b)
		digest, _, err := e.Plan(b.Context(), t)
		if err != nil {
			b.Fatal(err)
		}
		planned := time.Since(start)
		busyPlan := cpu(b) - busy
		var settled, committed time.Duration
		if digest != "" {
			settled, committed = finish(b, e, t, digest)
		}
		b.Logf("%d of %d projects changed: plan %.2f s, settle %.2f s, commit %.2f s, CPU time of the plan %.2f s, of all %.2f s, %d MB more memory", changed, n,
			planned.Seconds(), settled.Seconds(), committed.Seconds(), busyPlan.Seconds(), (cpu(b) - busy).Seconds(), (peakMemory(b)-before)>>20)
	}
}

func finish(b *testing.B, e *pypi.Engine, t *tree.Tree, digest string) (settled, committed time.Duration) {
	b.Helper()
	p, err := t.OpenPlan(digest)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	req, _, err := e.Settle(context.Background(), t, p)
	if err != nil {
		b.Fatal(err)
	}
	settled = time.Since(start)
	if _, err := t.Commit(context.Background(), req); err != nil {
		b.Fatal(err)
	}
	return settled, time.Since(start) - settled
}

// large is an index of many projects without files.
type large struct {
	serials []int64
	root    []byte
	version int
}

func newLarge(n int) *large {
	l := &large{serials: make([]int64, n)}
	for i := range l.serials {
		l.serials[i] = int64(i + 1)
	}
	return l
}

func largeName(i int) string { return fmt.Sprintf("project-number-%06d", i) }

// change gives projects new serials, and with it the root page a new version.
func (l *large) change(n int) {
	for i := range n {
		l.serials[i*len(l.serials)/n] += 10_000_000
	}
	if l.version == 0 || n > 0 {
		l.version++
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"meta":{"_last-serial":%d,"api-version":"1.3"},"projects":[`, 100_000_000*l.version)
	for i, s := range l.serials {
		fmt.Fprintf(&b, `%s{"_last-serial":%d,"name":%q}`, []string{"", ","}[min(i, 1)], s, largeName(i))
	}
	b.WriteString("]}")
	l.root = bytes.Clone(b.Bytes())
}

func (l *large) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple"), "/")
	if name == "" {
		tag := fmt.Sprintf(`"%d"`, l.version)
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(l.root)
		return
	}
	i, _ := strconv.Atoi(strings.TrimPrefix(name, "project-number-"))
	w.Header().Set("X-PyPI-Last-Serial", fmt.Sprint(l.serials[i]))
	fmt.Fprintf(w, `{"meta":{"_last-serial":%d,"api-version":"1.3"},"name":%q,"versions":[],"files":[]}`, l.serials[i], name)
}

// mirror commits a generation that has the index as it is.
func (l *large) mirror(b *testing.B, t *tree.Tree, cfg pypi.Config) {
	b.Helper()
	rows, err := manifest.Write(t, func(yield func(manifest.Entry, error) bool) {
		for i, s := range l.serials {
			if !yield(manifest.Entry{Path: largeName(i), Kind: manifest.Row, Size: s, Digest: manifest.Digest{1}, Note: fmt.Sprintf(`{"e":"\"%032d\""}`, i)}, nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	none, err := manifest.Write(t, func(func(manifest.Entry, error) bool) {})
	if err != nil {
		b.Fatal(err)
	}
	slice := cfg.Now().Unix() / 7200 // nobody's turn has come
	if err := t.SetMemo("sweep", fmt.Append(nil, `{"slice":`, slice, `}`)); err != nil {
		b.Fatal(err)
	}
	if _, err := t.Commit(b.Context(), tree.CommitRequest{Manifest: none, Engine: pypi.StateOf(cfg, 1),
		Aux: map[string]manifest.ID{"projects": rows.ID(), "objects": none.ID()}}); err != nil {
		b.Fatal(err)
	}
}

// cpu is the CPU time of this process, the server's included.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// calm gives back what memory is not needed, and returns what is in use, in bytes.
func calm(b *testing.B) int64 {
	b.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		b.Fatal(err)
	}
	return peakMemory(b)
}

// peakMemory is the most that the process had since it was calm, in bytes.
func peakMemory(b *testing.B) int64 {
	b.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	var kB int64
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	fmt.Sscan(rest, &kB)
	return kB << 10
}
