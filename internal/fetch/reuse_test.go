package fetch_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"mirrorcycle/internal/fetch"
)

// TestConnectionsAreUsedAgain counts connections: about one per download at once
// (one that is free again may be taken while another is being opened), and one in
// all where upstream speaks HTTP/2.
func TestConnectionsAreUsedAgain(t *testing.T) {
	const atOnce, each = 4, 25
	for name, tt := range map[string]struct {
		http2 bool
		most  int64
		major int
	}{
		"HTTP/1.1": {false, 3 * atOnce, 1},
		"HTTP/2":   {true, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var connections, other atomic.Int64
			answer := whole(content, "")
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != tt.major {
					other.Add(1)
				}
				answer(w, r)
			}))
			srv.EnableHTTP2 = tt.http2
			srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			srv.StartTLS()
			defer srv.Close()
			ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
			c, _ := newClient(t, fetch.Options{RootCAs: ca, Downloads: atOnce, PerHost: atOnce})
			get := func() {
				if _, _, err := c.GetBytes(t.Context(), fetch.Request{Upstreams: []string{srv.URL}, Path: "file"}); err != nil {
					t.Error(err)
				}
			}
			get() // before the protocol is known, each request may open a connection
			var running sync.WaitGroup
			for range atOnce {
				running.Go(func() {
					for range each {
						get()
					}
				})
			}
			running.Wait()
			if got := connections.Load(); got > tt.most {
				t.Errorf("%d connections for %d requests, want %d at most", got, atOnce*each+1, tt.most)
			}
			if other.Load() > 0 {
				t.Errorf("%d requests by another protocol", other.Load())
			}
		})
	}
}
