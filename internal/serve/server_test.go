package serve_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/serve"
)

// TestClientsThatReadNothing are let go, and their places are for others; who reads gets all of it.
func TestClientsThatReadNothing(t *testing.T) {
	dir := region(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the buffers of a connection
	if err := os.WriteFile(filepath.Join(dir, "apt/big.deb"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 8)
	s := serve.Server(handler(t, dir))
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			ended <- struct{}{}
		}
	}
	go func() { _ = s.Serve(serve.Listener(plain, 2, 100*time.Millisecond)) }()
	defer s.Close()
	for range 2 {
		c, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /apt/big.deb HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.Get("http://" + plain.Addr().String() + "/apt/big.deb") // waits for one of the two places
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	<-ended
}
