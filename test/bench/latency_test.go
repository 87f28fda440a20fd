package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// latency is how long the upstream of BenchmarkLatency thinks about each request.
const latency = 100 * time.Millisecond

// slow is an upstream that is far away.
type slow struct {
	*httptest.Server
	requests, connections atomic.Int64
}

func newSlow(tb testing.TB, dir string) *slow {
	s := &slow{}
	files := http.FileServer(http.Dir(dir))
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		select {
		case <-time.After(latency):
			files.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// BenchmarkLatency mirrors 50,000 objects of 2 KB from an upstream 100 ms away, with
// one worker process and with two, each of 32 downloads at once. BENCH_OBJECTS
// gives another number. It runs once, whatever the benchmark time.
func BenchmarkLatency(b *testing.B) {
	n := 50_000
	if s := os.Getenv("BENCH_OBJECTS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	dir := b.TempDir()
	c, err := newCorpus(filepath.Join(dir, "archive"), n)
	if err != nil {
		b.Fatal(err)
	}
	keyring := filepath.Join(dir, "keyring.gpg")
	if err := os.WriteFile(keyring, debrepotest.PublicKeys(c.key), 0o644); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for _, workers := range []int{1, 2} {
		up := newSlow(b, c.dir)
		h := lab.New(b, lab.Options{Name: fmt.Sprintf("latency-%d-%d", os.Getpid(), workers), Regions: []string{"here"}, NoWork: true, Every: "1h", Keep: "1h", Mirrors: fmt.Sprintf(
			"[[mirror]]\nname = \"debian\"\nkind = \"apt\"\nupstream = [%q]\nsuites = [\"stable\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\nkeyring = %q\n[limits]\ndownloads = 32\nper-host = 32\n",
			up.URL, keyring)})
		for range workers {
			worker(b, h)
		}
		start := time.Now()
		took = append(took, cycle(b, h, workflows.Done))
		all, err := stages(context.Background(), h.Client, start)
		if err != nil {
			b.Error(err)
		}
		b.Logf("%d objects, %d workers: %.1f s, %d requests over %d connections; activities, in seconds: %s", n, workers,
			took[len(took)-1].Seconds(), up.requests.Load(), up.connections.Load(), all)
	}
	b.Logf("2 workers: %.2f times one", took[0].Seconds()/took[1].Seconds())
}
