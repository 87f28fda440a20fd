package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

func TestGetFailsOver(t *testing.T) {
	good, wrong, absent, denied, sick := whole(content, ""), whole(bytes.ToUpper(content), ""), status(404), status(403), status(503)
	tests := []struct {
		name    string
		servers []http.HandlerFunc
		kind    fault.Kind
		counts  []int
	}{
		{"the first that has it", []http.HandlerFunc{good, good}, "", []int{1, 0}},
		{"absent at the first", []http.HandlerFunc{absent, good}, "", []int{1, 1}},
		{"wrong digest at the first", []http.HandlerFunc{wrong, good}, "", []int{1, 1}},
		{"too long at the first", []http.HandlerFunc{chunked(append(bytes.ToUpper(content), 'x')), good}, "", []int{1, 1}},
		{"denied at the first", []http.HandlerFunc{denied, good}, "", []int{1, 1}},
		{"the first is sick: no pause before the second", []http.HandlerFunc{sick, good}, "", []int{1, 1}},
		{"cut at the first, the rest from the second", []http.HandlerFunc{cut(content, 1000, `"v1"`), good}, "", []int{1, 1}},
		{"absent everywhere", []http.HandlerFunc{absent, status(410)}, fault.Gone, []int{1, 1}},
		{"wrong everywhere", []http.HandlerFunc{wrong, wrong}, fault.Unproved, []int{1, 1}},
		{"wrong and absent", []http.HandlerFunc{absent, wrong}, fault.Unproved, []int{1, 1}},
		{"absent and sick is not gone", []http.HandlerFunc{absent, sick}, fault.Unavailable, []int{1, 5}},
		{"absent and denied is not gone", []http.HandlerFunc{absent, denied}, fault.Denied, []int{1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var servers []*script
			for _, h := range tt.servers {
				servers = append(servers, serve(t, h))
			}
			c, p := newClient(t, fetch.Options{})
			var s sink
			_, err := c.Get(t.Context(), request(servers...), &s)
			if fault.KindOf(err) != tt.kind {
				t.Fatalf("err = %v, want %v", err, tt.kind)
			}
			if tt.kind != fault.Gone && errors.Is(err, fault.Gone) {
				t.Errorf("passes for gone: %v", err)
			}
			if tt.kind == "" && (!bytes.Equal(s.Bytes(), content) || len(p.all) != 0) {
				t.Errorf("%d bytes after %d pauses", s.Len(), len(p.all))
			}
			var counts []int
			for _, s := range servers {
				counts = append(counts, len(s.requests()))
			}
			if d := cmp.Diff(tt.counts, counts); d != "" {
				t.Error("requests per upstream:", d)
			}
		})
	}
}

// TestGetResumesAtAnotherUpstream relies on the digest alone: a validator means
// nothing to another server.
func TestGetResumesAtAnotherUpstream(t *testing.T) {
	first, second := serve(t, cut(content, 1000, `"v1"`)), serve(t, whole(content, `"other"`))
	c, _ := newClient(t, fetch.Options{})
	var s sink
	if _, err := c.Get(t.Context(), request(first, second), &s); err != nil || !bytes.Equal(s.Bytes(), content) || s.resets != 0 {
		t.Fatalf("%d bytes, %d resets, %v", s.Len(), s.resets, err)
	}
	if d := cmp.Diff([]string{"bytes=1000-"}, second.requests()); d != "" {
		t.Error(d)
	}
}

func TestGetTriesSilentUpstreamLast(t *testing.T) {
	silent := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	good := serve(t, whole(content, ""))
	now := time.Unix(1000, 0)
	c, p := newClient(t, fetch.Options{Now: func() time.Time { return now }})
	for _, want := range []int{1, 1, 1, 2} {
		if want == 2 {
			now = now.Add(time.Hour)
		}
		if _, err := c.Get(t.Context(), request(silent, good), &sink{}); err != nil {
			t.Fatal(err)
		}
		if n := len(silent.requests()); n != want {
			t.Errorf("asked the silent upstream %d times, want %d", n, want)
		}
	}
	if len(p.all) != 0 {
		t.Errorf("%d pauses", len(p.all))
	}
}

func TestGetObeysRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"seconds", "30", 30 * time.Second},
		{"date", now.Add(45 * time.Second).Format(http.TimeFormat), 45 * time.Second},
		{"date in the past", now.Add(-time.Hour).Format(http.TimeFormat), time.Second},
		{"shorter than the policy", "0", time.Second},
		{"negative", "-5", time.Second},
		{"beyond reason", "999999999", 2 * time.Minute},
		{"unreadable", "soon", time.Second},
		{"absent", "", time.Second},
	}
	for _, code := range []int{429, 503} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%d %s", code, tt.name), func(t *testing.T) {
				srv := serve(t, status(code, "Retry-After", tt.value), whole(content, ""))
				c, p := newClient(t, fetch.Options{Now: func() time.Time { return now }})
				if _, err := c.Get(t.Context(), request(srv), &sink{}); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff([]time.Duration{tt.want}, p.all); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// TestGetKeepsGoingWhileItAdvances lets a line break more often than Attempts allows.
func TestGetKeepsGoingWhileItAdvances(t *testing.T) {
	large := bytes.Repeat([]byte{7}, 12<<20)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", strconv.Itoa(len(large)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(large)-1, len(large)))
			w.WriteHeader(http.StatusPartialContent)
		}
		if to := from + 3<<19; to < len(large) {
			w.Write(large[from:to])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(large[from:])
	})
	req := request(srv)
	req.Size, req.SHA256 = int64(len(large)), sha(large)
	c, p := newClient(t, fetch.Options{Attempts: 2})
	var s sink
	if _, err := c.Get(t.Context(), req, &s); err != nil || !bytes.Equal(s.Bytes(), large) {
		t.Fatalf("%d bytes, %v", s.Len(), err)
	}
	if len(p.all) < 4 || s.resets != 0 {
		t.Errorf("%d pauses, %d resets", len(p.all), s.resets)
	}
}
