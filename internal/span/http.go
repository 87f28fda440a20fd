package span

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// slow is what a request may take before it is recorded whatever the limit.
const slow = time.Second

// Transport records every request and its answer until the body is closed, by
// OpenTelemetry's conventions for HTTP clients. It sends no trace headers:
// what we do is nobody's business upstream. URLs lose user and query.
func Transport(next http.RoundTripper) http.RoundTripper { return &transport{next: next} }

type transport struct{ next http.RoundTripper }

var duration = Instrument[metric.Float64Histogram]{New: func(m metric.Meter) (metric.Float64Histogram, error) {
	return m.Float64Histogram("http.client.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP requests to upstreams, origins and regions, with their bodies."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300))
}}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !trace.SpanContextFromContext(ctx).IsSampled() && !duration.Get().Enabled(ctx) {
		return t.next.RoundTrip(req)
	}
	r := &request{ctx: ctx, method: req.Method, url: req.URL, start: time.Now()}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		r.end(err)
		return resp, err
	}
	r.status = resp.StatusCode
	resp.Body = &body{ReadCloser: resp.Body, request: r}
	return resp, nil
}

// CloseIdleConnections lets http.Client's method of that name through.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// body notes how the answer ended.
type body struct {
	io.ReadCloser
	request *request
	err     error
	once    sync.Once
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.request.bytes += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.request.end(b.err) })
	return err
}

// request is recorded when it is over: until then nobody knows whether it is worth it.
type request struct {
	ctx    context.Context
	method string
	url    *url.URL
	start  time.Time
	status int
	bytes  int64
}

func (r *request) end(err error) {
	took := time.Since(r.start)
	attrs := []attribute.KeyValue{attribute.String("http.request.method", r.method), attribute.String("server.address", r.url.Hostname())}
	if port := r.port(); port > 0 {
		attrs = append(attrs, attribute.Int("server.port", port))
	}
	if r.status > 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", r.status))
	}
	kind := errorType(r.status, err)
	if kind != "" {
		attrs = append(attrs, attribute.String("error.type", kind))
	}
	duration.Get().Record(r.ctx, took.Seconds(), metric.WithAttributes(attrs...))
	if !trace.SpanContextFromContext(r.ctx).IsSampled() || (kind == "" && took < slow && !within(r.ctx)) {
		return
	}
	attrs = append(attrs, attribute.String("url.full", Display(r.url)), attribute.Int64("http.response.body.size", r.bytes))
	_, s := otel.Tracer(Scope).Start(r.ctx, r.method, trace.WithTimestamp(r.start), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	if kind != "" {
		s.SetStatus(codes.Error, "")
	}
	s.End()
}

func (r *request) port() int {
	if n, err := strconv.Atoi(r.url.Port()); err == nil {
		return n
	}
	return map[string]int{"http": 80, "https": 443}[r.url.Scheme]
}

// errorType is the value of error.type: the status, or a word for what broke. An
// error's text is left out: it may quote what it was given.
func errorType(status int, err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case err == nil && status < 400:
		return ""
	case err == nil:
		return strconv.Itoa(status)
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &dns):
		return "name_resolution"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "broken_off"
	}
	return "connection"
}

// Display is a URL without what may be secret: user information, query, fragment.
func Display(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
