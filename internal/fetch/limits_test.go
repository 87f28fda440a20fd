package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

func TestSinkFailureIsFinal(t *testing.T) {
	own := &fault.Error{Kind: fault.Fenced, Op: "tree: write"}
	for _, tt := range []struct {
		err  error
		kind fault.Kind
	}{{syscall.ENOSPC, fault.NoSpace}, {own, fault.Fenced}, {errors.New("strange"), ""}} {
		first, second := serve(t, whole(content, "")), serve(t, whole(content, ""))
		c, p := newClient(t, fetch.Options{})
		_, err := c.Get(t.Context(), request(first, second), &sink{fail: tt.err})
		if !errors.Is(err, tt.err) || fault.KindOf(err) != tt.kind || len(p.all)+len(second.requests()) != 0 {
			t.Errorf("%v: %v", tt.err, err)
		}
	}
}

func TestCancel(t *testing.T) {
	entered := make(chan struct{}, 10)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		entered <- struct{}{}
		<-r.Context().Done()
	})
	c, p := newClient(t, fetch.Options{})
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-entered; cancel(why) }()
	if _, err := c.Get(ctx, request(srv), &sink{}); !errors.Is(err, why) || fault.KindOf(err) != "" {
		t.Errorf("err = %v", err)
	}
	if _, err := c.Get(ctx, request(srv), &sink{}); !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
	if len(p.all) != 0 {
		t.Errorf("%d pauses after the end", len(p.all))
	}
}

func TestStall(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, whole(content, ""))
	c, p := newClient(t, fetch.Options{Stall: 50 * time.Millisecond})
	var s sink
	if _, err := c.Get(t.Context(), request(srv), &s); err != nil || !bytes.Equal(s.Bytes(), content) {
		t.Fatalf("%d bytes, %v", s.Len(), err)
	}
	if d := cmp.Diff([]string{"", "bytes=1000-", "bytes=1000-"}, srv.requests()); d != "" || len(p.all) != 2 {
		t.Error(d, p.all)
	}
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c, _ = newClient(t, fetch.Options{Stall: 20 * time.Millisecond, Attempts: 1})
	if _, err := c.Get(t.Context(), request(silent), &s); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no byte for") {
		t.Errorf("err = %v", err)
	}
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name               string
		downloads, perHost int
		hosts, want        int
	}{
		{"per host", 16, 2, 1, 2},
		{"per host, two of them", 16, 2, 2, 4},
		{"in all", 3, 16, 2, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var active, most atomic.Int32
			entered, leave := make(chan struct{}), make(chan struct{})
			h := func(w http.ResponseWriter, r *http.Request) {
				n := active.Add(1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				entered <- struct{}{}
				<-leave
				active.Add(-1)
				whole(content, "")(w, r)
			}
			c, _ := newClient(t, fetch.Options{Downloads: tt.downloads, PerHost: tt.perHost})
			var wg sync.WaitGroup
			total := 0
			for range tt.hosts {
				srv := serve(t, h)
				for range 6 {
					total++
					wg.Go(func() {
						if _, err := c.Get(t.Context(), request(srv), &sink{}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			for range tt.want { // the limit is reached …
				<-entered
			}
			go func() {
				for range total {
					leave <- struct{}{}
				}
			}()
			for range total - tt.want {
				<-entered
			}
			wg.Wait()
			if got := int(most.Load()); got != tt.want { // … and not passed
				t.Errorf("%d at once, want %d", got, tt.want)
			}
		})
	}
}

func TestRate(t *testing.T) {
	// One byte a second lets the first buffer pass and not the second.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got atomic.Int64
	srv := serve(t, whole(content, ""))
	c, _ := newClient(t, fetch.Options{Rate: 1, Progress: func(n int64) {
		if got.Add(n) > 0 {
			cancel()
		}
	}})
	if _, err := c.Get(ctx, request(srv), &sink{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if n := got.Load(); n > 64<<10 {
		t.Errorf("%d bytes passed", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type discardSink struct{}

func (discardSink) Write(p []byte) (int, error) { return len(p), nil }
func (discardSink) Reset() error                { return nil }

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const size = 32 << 20
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, size) })
	c, _ := newClient(t, fetch.Options{})
	req := request(srv)
	req.Size, req.Max, req.Index, req.SHA256 = -1, size, true, ""
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := c.Get(t.Context(), req, discardSink{})
	runtime.ReadMemStats(&after)
	if err != nil || res.Size != size {
		t.Fatalf("%+v, %v", res, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}
