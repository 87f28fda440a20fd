package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

// content is longer than one buffer.
var content = bytes.Repeat([]byte("mirrorcycle "), 20_000)

func sha(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// sink records what it was told.
type sink struct {
	bytes.Buffer
	resets int
	fail   error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return s.Buffer.Write(p)
}

func (s *sink) Reset() error { s.resets++; s.Buffer.Reset(); return nil }

// pauses records the pauses that a client would have made.
type pauses struct {
	mu  sync.Mutex
	all []time.Duration
}

func (p *pauses) wait(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, d)
	return context.Cause(ctx)
}

func newClient(t *testing.T, opt fetch.Options) (*fetch.Client, *pauses) {
	t.Helper()
	p := &pauses{}
	if opt.Wait == nil {
		opt.Wait = p.wait
	}
	if opt.Backoff == nil {
		opt.Backoff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }
	}
	c, err := fetch.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, p
}

// script answers one request after the other, the last handler for ever.
type script struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // Range and If-Range of each request
}

func serve(t *testing.T, handlers ...http.HandlerFunc) *script {
	t.Helper()
	s := &script{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := handlers[min(len(s.seen), len(handlers)-1)]
		s.seen = append(s.seen, strings.TrimSpace(r.Header.Get("Range")+" "+r.Header.Get("If-Range")))
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

// whole answers as a file server does, with ranges and validators.
func whole(data []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// cut announces everything and breaks off after n bytes.
func cut(data []byte, n int, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// chunked sends data without saying how long it is.
func chunked(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Write(data[:1])
		w.(http.Flusher).Flush()
		w.Write(data[1:])
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "no")
	}
}

func request(servers ...*script) fetch.Request {
	r := fetch.Request{Path: "pool/a.deb", Size: int64(len(content)), SHA256: sha(content)}
	for _, s := range servers {
		r.Upstreams = append(r.Upstreams, s.URL+"/debian/")
	}
	return r
}

func TestGetOne(t *testing.T) {
	full := sha512.Sum512(content)
	half := len(content) / 2
	fromHalf := fmt.Sprintf("bytes=%d-", half)
	page := []byte("\n<!DOCTYPE html><html>Please log in, whoever you are</html>")
	handlers := func(h ...http.HandlerFunc) []http.HandlerFunc { return h }
	plain := whole(content, `"v1"`)
	wrongRange := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(content)
	}
	noRange := func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }
	tests := []struct {
		name   string
		server []http.HandlerFunc
		change func(*fetch.Request)
		kind   fault.Kind // "" for success
		says   string
		seen   []string // ranges asked for, nil for a single plain request
		pauses int
	}{
		{name: "whole file", server: handlers(plain)},
		{name: "sha512", server: handlers(plain), change: func(r *fetch.Request) { r.SHA512 = hex.EncodeToString(full[:]) }},
		{name: "sha512 alone", server: handlers(plain), change: func(r *fetch.Request) { r.SHA256, r.SHA512 = "", hex.EncodeToString(full[:]) }},
		{name: "wrong sha512", server: handlers(plain), change: func(r *fetch.Request) { r.SHA512 = strings.Repeat("0", 128) }, kind: fault.Unproved, says: "sha512"},
		{name: "size unknown", server: handlers(chunked(content)), change: func(r *fetch.Request) { r.Size, r.Max = -1, 1<<20 }},
		{name: "cut, then the rest", server: handlers(cut(content, half, `"v1"`), plain), seen: []string{"", fromHalf + ` "v1"`}, pauses: 1},
		{name: "cut without validator, then the rest", server: handlers(cut(content, half, ""), plain), seen: []string{"", fromHalf}, pauses: 1},
		{name: "cut with weak validator", server: handlers(cut(content, half, `W/"v1"`), plain), seen: []string{"", fromHalf}, pauses: 1},
		{name: "cut, then a server without ranges", server: handlers(cut(content, half, `"v1"`), noRange), seen: []string{"", fromHalf + ` "v1"`}, pauses: 1},
		{name: "cut, then changed", server: handlers(cut(make([]byte, len(content)), half, `"v1"`), whole(content, `"v2"`)), seen: []string{"", fromHalf + ` "v1"`}, pauses: 1},
		{name: "cut, changed without validator", server: handlers(cut(make([]byte, len(content)), half, ""), plain), seen: []string{"", fromHalf, ""}, pauses: 2},
		{name: "cut, then another range", server: handlers(cut(content, half, ""), wrongRange, plain), seen: []string{"", fromHalf, ""}, pauses: 2},
		{name: "cut, then 416", server: handlers(cut(content, half, ""), status(416), plain), seen: []string{"", fromHalf, ""}, pauses: 2},
		{name: "index cut without validator starts over", server: handlers(cut(content, half, ""), plain),
			change: func(r *fetch.Request) { r.SHA256, r.Index = "", true }, seen: []string{"", ""}, pauses: 1},
		{name: "ends early without saying so", server: handlers(chunked(content[:half]), plain), seen: []string{"", fromHalf}, pauses: 1},
		{name: "always cut at the same place", server: handlers(cut(content, 0, "")), kind: fault.Unavailable, says: "broke off", seen: []string{"", "", "", "", ""}, pauses: 4},
		{name: "announces another length", server: handlers(whole(content[:half], "")), kind: fault.Unproved, says: "are declared"},
		{name: "longer than declared", server: handlers(chunked(append(bytes.Clone(content), 'x'))), kind: fault.Unproved, says: "longer than the declared"},
		{name: "endless", server: handlers(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}), kind: fault.Unproved, says: "longer"},
		{name: "beyond the maximum", server: handlers(chunked(content)), change: func(r *fetch.Request) { r.Size, r.Max = 0, 1000 }, kind: fault.Hostile, says: "limit of 1000"},
		{name: "wrong digest", server: handlers(whole(bytes.ToUpper(content), "")), kind: fault.Unproved, says: "want " + sha(content)},
		{name: "portal page", server: handlers(whole(page, "")), kind: fault.Unproved, says: "captive portal"},
		{name: "portal page of unknown size", server: handlers(chunked(page)), change: func(r *fetch.Request) { r.Size, r.Max = 0, 1<<20 }, kind: fault.Unproved, says: "captive portal"},
		{name: "404", server: handlers(status(404)), kind: fault.Gone, says: "404"},
		{name: "410", server: handlers(status(410)), kind: fault.Gone},
		{name: "401", server: handlers(status(401)), kind: fault.Denied, says: "netrc"},
		{name: "403", server: handlers(status(403)), kind: fault.Denied},
		{name: "400", server: handlers(status(400)), kind: fault.Unavailable},
		{name: "204", server: handlers(status(204)), kind: fault.Unavailable, says: "204"},
		{name: "304 unasked", server: handlers(status(304)), kind: fault.Unavailable},
		{name: "500, then well", server: handlers(status(500), plain), seen: []string{"", ""}, pauses: 1},
		{name: "503 for ever", server: handlers(status(503)), kind: fault.Unavailable, says: "503", seen: []string{"", "", "", "", ""}, pauses: 4},
		{name: "429, then well", server: handlers(status(429), plain), seen: []string{"", ""}, pauses: 1},
		{name: "empty file", server: handlers(whole(nil, "")), change: func(r *fetch.Request) { r.Size, r.SHA256 = 0, sha(nil) }},
		{name: "not empty", server: handlers(chunked(content)), change: func(r *fetch.Request) { r.Size, r.SHA256 = 0, sha(nil) }, kind: fault.Unproved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.server...)
			c, p := newClient(t, fetch.Options{})
			req := request(srv)
			if tt.change != nil {
				tt.change(&req)
			}
			var s sink
			res, err := c.Get(t.Context(), req, &s)
			if tt.seen == nil {
				tt.seen = []string{""}
			}
			if d := cmp.Diff(tt.seen, srv.requests()); d != "" {
				t.Error("requests:", d)
			}
			if len(p.all) != tt.pauses {
				t.Errorf("%d pauses, want %d", len(p.all), tt.pauses)
			}
			if tt.kind != "" {
				if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "/debian/pool/a.deb") {
					t.Fatalf("err = %v; want %v saying %q", err, tt.kind, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := content
			if req.SHA256 == sha(nil) {
				want = nil
			}
			if !bytes.Equal(s.Bytes(), want) || res.Size != int64(len(want)) || res.SHA256 != sha(want) || res.URL != srv.URL+"/debian/pool/a.deb" {
				t.Errorf("%d bytes, %+v", s.Len(), res)
			}
		})
	}
}
