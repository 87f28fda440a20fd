package serve

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of a Server.
const (
	MaxConnections = 1024             // at once; more wait to be accepted
	WriteStall     = time.Minute      // the longest that a client may take for one piece of an answer
	headerTime     = 10 * time.Second // for the head of a request
	idleTime       = 2 * time.Minute  // between two requests
	piece          = 1 << 20          // bytes that are handed to the kernel at once
)

// Server serves h so that clients that read or say nothing take no place for long.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
}

// Listener bounds the connections of l, and ends those whose client takes no
// piece of an answer within stall.
func Listener(l net.Listener, connections int, stall time.Duration) net.Listener {
	return netutil.LimitListener(impatient{l, stall}, connections)
}

type impatient struct {
	net.Listener
	stall time.Duration
}

func (l impatient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c, l.stall}, nil
}

type conn struct {
	net.Conn
	stall time.Duration
}

func (c *conn) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		if err = c.SetWriteDeadline(time.Now().Add(c.stall)); err == nil {
			var wrote int
			wrote, err = c.Conn.Write(b[n:min(n+piece, len(b))])
			n += wrote
		}
	}
	return n, err
}

// ReadFrom keeps the kernel's own way from a file into a connection, by the piece.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	left := int64(-1)
	if l, ok := r.(*io.LimitedReader); ok { // what sendfile looks for
		r, left = l.R, l.N
		defer func() { l.N -= n }()
	}
	for left != 0 {
		if err = c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return n, err
		}
		want := int64(piece)
		if left >= 0 {
			want = min(want, left)
		}
		wrote, err := to.ReadFrom(&io.LimitedReader{R: r, N: want})
		n += wrote
		if err != nil || wrote < want {
			return n, err
		}
		if left > 0 {
			left -= wrote
		}
	}
	return n, nil
}
