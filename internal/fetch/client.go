package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/span"
)

// Options configure a Client; the zero value works.
type Options struct {
	Downloads int    // at once in all; 0 is 16
	PerHost   int    // at once from one host; 0 is 8
	Rate      int64  // bytes per second of all downloads together; 0 is no limit
	UserAgent string // "" is "MirrorCycle"

	// Internal are the hosts, servers (host:port), addresses and networks (CIDR) that
	// may be internal although the spec does not name them: redirects and pages may lead there.
	Internal []string

	Netrc      string // file of credentials (netrc(5), apt_auth.conf(5)); "" is none
	RootCAs    string // PEM file of certificate authorities trusted beside the system's
	ClientCert string // PEM file of a client certificate
	ClientKey  string // PEM file of its key; "" is the same file

	Attempts      int           // rounds over the upstreams without progress before giving up; 0 is 5
	Stall         time.Duration // give an attempt up when less than Floor came within so long; 0 is 60 s
	Floor         int64         // in bytes; 0 is 60,000, which is 1 kB/s by default. Pauses of our own do not count
	MaxRetryAfter time.Duration // the longest Retry-After obeyed; 0 is 2 min
	// Backoff makes the policy for the pauses of one download; nil is exponential
	// from 1 s to 1 min.
	Backoff func() backoff.BackOff
	// Wait pauses; nil waits on the clock. Tests record the pauses instead.
	Wait func(ctx context.Context, d time.Duration) error
	// Progress is told of each piece received, in bytes, and of each pause as 0.
	// It is called from several goroutines and must be quick.
	Progress func(n int64)
	Now      func() time.Time // nil is time.Now
}

// Client downloads within shared limits. It is safe for use by several
// goroutines; make one per process and upstream configuration.
type Client struct {
	opt     Options
	auth    *authTransport
	http    *http.Client
	gate    *gate
	limiter *rate.Limiter
	buffers sync.Pool
}

// bufferSize is the memory of one download, and the burst of the rate limit.
const bufferSize = 64 << 10

// New makes a Client. A file that cannot be read is fault.Config.
func New(opt Options) (*Client, error) {
	opt.setDefaults()
	tlsConfig, err := opt.tls()
	if err != nil {
		return nil, configError("load certificates", err)
	}
	auth := new(authTransport)
	if auth.credentials, err = readNetrc(opt.Netrc); err != nil {
		return nil, configError("read netrc", err)
	}
	if auth.reach, err = newReach(opt); err != nil {
		return nil, configError("read hosts", err)
	}
	auth.own, _ = newReach(Options{})
	bare := tlsConfig.Clone()
	bare.Certificates = nil
	auth.next = span.Transport(opt.transport(auth.reach, bare))
	if auth.certified = auth.next; len(tlsConfig.Certificates) > 0 {
		auth.certified = span.Transport(opt.transport(auth.reach, tlsConfig))
	}
	c := &Client{
		opt: opt, auth: auth,
		http:    &http.Client{Transport: auth, CheckRedirect: checkRedirect},
		gate:    newGate(opt.Downloads, opt.PerHost),
		buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }},
	}
	if opt.Rate > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(opt.Rate), bufferSize)
	}
	return c, nil
}

// transport connects where reach allows it.
func (o *Options) transport(reach *reach, config *tls.Config) *http.Transport {
	known := new(proxies)
	t := Proxied(&http.Transport{
		DialContext:            reach.dial(net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}, known.are),
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConns:           4 * o.Downloads,
		MaxIdleConnsPerHost:    max(o.PerHost, o.Downloads), // proxies count as one host
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         16 << 10,
		MaxResponseHeaderBytes: 256 << 10,
	})
	t.Proxy = known.of(t.Proxy)
	return t
}

// Own adds URLs that the spec names: they may be at internal addresses, and the
// client certificate and netrc's default are for their servers only. As long as there
// are none, the upstreams of requests are taken for own.
func (c *Client) Own(urls ...string) error {
	for _, raw := range urls {
		u, err := parseURL(raw)
		if err != nil {
			return configError("read URL", err)
		}
		c.auth.reach.name(u)
		c.auth.own.name(u)
	}
	return nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (o *Options) setDefaults() {
	o.Downloads = defaultTo(o.Downloads, 16)
	o.PerHost = defaultTo(o.PerHost, 8)
	o.Attempts = defaultTo(o.Attempts, 5)
	o.Stall = defaultTo(o.Stall, time.Minute)
	o.Floor = defaultTo(o.Floor, 60_000)
	o.MaxRetryAfter = defaultTo(o.MaxRetryAfter, 2*time.Minute)
	o.UserAgent = defaultTo(o.UserAgent, "MirrorCycle")
	if o.Backoff == nil {
		o.Backoff = func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second),
				backoff.WithMultiplier(2), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0))
		}
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func defaultTo[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func (o *Options) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.RootCAs != "" {
		pem, err := os.ReadFile(o.RootCAs)
		if err != nil {
			return nil, err
		}
		if cfg.RootCAs, err = x509.SystemCertPool(); err != nil {
			cfg.RootCAs = x509.NewCertPool()
		}
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.RootCAs)
		}
	}
	if o.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(o.ClientCert, defaultTo(o.ClientKey, o.ClientCert))
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func configError(op string, err error) error {
	var path *os.PathError
	subject := ""
	if errors.As(err, &path) {
		subject, err = path.Path, path.Err
	}
	return &fault.Error{Kind: fault.Config, Op: "fetch: " + op, Subject: subject, Err: err, Advice: "check the file and who may read it"}
}
