package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// transfer is one download over all its attempts.
type transfer struct {
	c      *Client
	req    Request
	sink   Sink
	sha256 hash.Hash
	sha512 hash.Hash // nil if not asked for
	other  hash.Hash // of Checksum, nil if not asked for

	n       int64  // bytes in the sink
	high    int64  // the most there ever were, to tell progress
	head    []byte // the first bytes, to recognise a page
	etag    string // strong validator of the bytes in the sink
	host    string // that it belongs to
	lately  int64  // bytes since the watch was set
	plain   bool   // the bytes are as upstream stores them, so that a range fits
	resumed bool   // they come from more than one answer
	tries   int    // attempts so far, this one included
}

func newTransfer(c *Client, req Request, sink Sink) *transfer {
	t := &transfer{c: c, req: req, sink: sink, sha256: sha256.New()}
	if req.SHA512 != "" {
		t.sha512 = sha512.New()
	}
	if req.Checksum != "" {
		t.other = NewChecksum(req.Checksum)
	}
	return t
}

var errStalled = errors.New("stalled")

// attempt makes one request and reads its answer to the end.
func (t *transfer) attempt(ctx context.Context, at target) (Result, *failure) {
	leave, err := t.c.gate.enter(ctx, at.url.Host)
	if err != nil {
		return Result{}, &failure{err: context.Cause(ctx), final: true}
	}
	defer leave()
	attemptCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.c.opt.Stall, func() { cancel(errStalled) })
	defer watch.Stop()

	res, f := t.exchange(attemptCtx, at, watch)
	switch {
	case f == nil:
		t.c.gate.setDown(at.url.Host, time.Time{})
	case ctx.Err() != nil:
		return Result{}, &failure{err: context.Cause(ctx), final: true}
	case context.Cause(attemptCtx) == errStalled && !f.final && f.again:
		f.err = fmt.Errorf("no byte for %v", t.c.opt.Stall)
		if t.lately > 0 {
			f.err = fmt.Errorf("%d bytes in %v, the least is %d", t.lately, t.c.opt.Stall, t.c.opt.Floor)
		}
		f.offline = true
	case f.kind == fault.Unproved || f.kind == fault.Hostile:
		// Nothing may go on after bytes that are known to be wrong.
		if g := t.reset(); g != nil {
			return Result{}, g
		}
	}
	if f != nil && f.offline {
		t.c.gate.setDown(at.url.Host, t.c.opt.Now().Add(downFor))
	}
	return res, f
}

func (t *transfer) exchange(ctx context.Context, at target, watch *time.Timer) (Result, *failure) {
	if f := t.prepare(at); f != nil {
		return Result{}, f
	}
	hreq, err := t.request(ctx, at)
	if err != nil {
		return Result{}, &failure{kind: fault.Config, err: err, final: true}
	}
	resp, err := t.c.http.Do(hreq)
	if err != nil {
		return Result{}, netFailure(err)
	}
	defer resp.Body.Close()
	t.lately = 0
	watch.Reset(t.c.opt.Stall)
	res := Result{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"), Header: resp.Header, URL: at.name}
	if resp.Request.URL != at.url {
		res.URL = display(resp.Request.URL)
	}
	if resp.StatusCode == http.StatusNotModified && t.req.conditional() && t.n == 0 {
		res.NotModified = true
		return res, nil
	}
	if f := t.accept(resp); f != nil {
		if asked := resp.Request.URL; resp.StatusCode == http.StatusUnauthorized && t.c.auth.credentials.withheld(asked) {
			f.advice = "its login goes over https only: use https, or write machine http://" + asked.Hostname() + " into netrc to send it in the clear"
		}
		return Result{}, f
	}
	t.host, t.plain, t.etag = at.url.Host, !resp.Uncompressed, ""
	if etag := resp.Header.Get("ETag"); strings.HasPrefix(etag, `"`) {
		t.etag = etag
	}
	if f := t.announced(resp); f != nil {
		return Result{}, f
	}
	if f := t.read(ctx, resp.Body, watch); f != nil {
		return Result{}, f
	}
	sum, f := t.prove()
	if f != nil {
		return Result{}, f
	}
	res.Size, res.SHA256 = t.n, sum
	return res, nil
}

// prepare keeps the bytes of the last attempt if this one can go on after them:
// if a strong validator guards them, or a digest will. Otherwise it starts over.
func (t *transfer) prepare(at target) *failure {
	if t.n == 0 {
		return nil
	}
	proved := t.req.proved()
	if t.host != at.url.Host {
		t.etag = ""
	}
	if t.plain && (proved || t.etag != "") && (t.req.size() < 0 || t.n < t.req.size()) {
		return nil
	}
	return t.reset()
}

func (t *transfer) reset() *failure {
	if t.n > 0 {
		if err := t.sink.Reset(); err != nil {
			return sinkFailure(err)
		}
	}
	t.n, t.head, t.etag, t.resumed = 0, nil, "", false
	t.sha256.Reset()
	if t.sha512 != nil {
		t.sha512.Reset()
	}
	if t.other != nil {
		t.other.Reset()
	}
	return nil
}

func (t *transfer) request(ctx context.Context, at target) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "", nil)
	if err != nil {
		return nil, errors.New("URL is not usable")
	}
	r.URL, r.Host = at.url, at.url.Host // read already; nobody writes to it
	for k, values := range t.req.Header {
		for _, v := range values {
			r.Header.Add(k, v)
		}
	}
	r.Header.Set("User-Agent", t.c.opt.UserAgent)
	// As apt asks (RFC 9111, 5.2.1): caches would answer with an old index.
	fresh := r.Header.Get("Cache-Control")
	if t.req.Index {
		fresh = cmp.Or(fresh, "max-age=0")
	}
	if t.tries++; fresh != "" && t.tries > 1 {
		fresh = "no-cache"
	}
	if fresh != "" {
		r.Header.Set("Cache-Control", fresh)
	}
	if !t.req.Index {
		// The digest is that of the stored bytes; what a server unpacks on the
		// way, as some do with .gz files, would never match.
		r.Header.Set("Accept-Encoding", "identity")
	}
	switch {
	case t.n > 0:
		r.Header.Set("Accept-Encoding", "identity")
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.n))
		if t.etag != "" {
			r.Header.Set("If-Range", t.etag)
		}
	case t.req.conditional():
		if t.req.ETag != "" {
			r.Header.Set("If-None-Match", t.req.ETag)
		}
		if t.req.LastModified != "" {
			r.Header.Set("If-Modified-Since", t.req.LastModified)
		}
	}
	return r, nil
}

// accept decides whether the answer is the file, or the rest of it.
func (t *transfer) accept(resp *http.Response) *failure {
	switch {
	case resp.StatusCode == http.StatusPartialContent && t.n > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", t.n)) {
			if f := t.reset(); f != nil {
				return f
			}
			return &failure{kind: fault.Unavailable, err: errors.New("answer with another range than asked for"), again: true}
		}
		t.resumed = true
		return nil
	case resp.StatusCode == http.StatusOK:
		// A server without ranges, or a file that changed: from the beginning.
		return t.reset()
	}
	f := statusFailure(resp, t.c.opt.Now())
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		if g := t.reset(); g != nil {
			return g
		}
	}
	// Reading a short error page to its end keeps the connection usable.
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	return f
}

// announced refuses a whole answer of another length than declared before it is
// read: it is another file, and asking again would bring the same.
func (t *transfer) announced(resp *http.Response) *failure {
	size := t.req.size()
	if resp.StatusCode != http.StatusOK || size < 0 || resp.ContentLength < 0 || resp.ContentLength == size {
		return nil
	}
	t.head = make([]byte, headSize)
	n, _ := io.ReadFull(resp.Body, t.head)
	t.head = t.head[:n]
	return t.wrong("has %d bytes, %d are declared", resp.ContentLength, size)
}

// headSize is how much of an answer is kept to recognise a page, in bytes.
const headSize = 64

// read streams the body into the sink.
func (t *transfer) read(ctx context.Context, body io.Reader, watch *time.Timer) *failure {
	buf := t.c.buffers.Get().(*[bufferSize]byte)
	defer t.c.buffers.Put(buf)
	size := t.req.size()
	left := t.c.opt.Stall // until Floor must have come; only time in Read counts
	for {
		began := time.Now()
		n, err := body.Read(buf[:])
		if n > 0 {
			watch.Stop() // neither our limit nor our disk is upstream's fault
			left -= time.Since(began)
			if f := t.take(ctx, buf[:n], size); f != nil {
				return f
			}
			if t.lately += int64(n); t.lately >= t.c.opt.Floor {
				left, t.lately = t.c.opt.Stall, 0
			}
			watch.Reset(max(left, 0))
		}
		switch {
		case err == io.EOF && size >= 0 && t.n < size:
			return &failure{kind: fault.Unavailable, err: t.describe("ended after %d of %d bytes", t.n, size), again: true}
		case err == io.EOF:
			return nil
		case err != nil:
			f := netFailure(err)
			f.err = fmt.Errorf("broke off after %d bytes: %w", t.n, f.err)
			f.offline = false
			return f
		}
	}
}

func (t *transfer) take(ctx context.Context, p []byte, size int64) *failure {
	if len(t.head) < headSize && t.n == int64(len(t.head)) {
		t.head = append(t.head, p[:min(len(p), headSize-len(t.head))]...)
	}
	if size >= 0 && t.n+int64(len(p)) > size {
		return t.wrong("is longer than the declared %d bytes", size)
	}
	if size < 0 && t.n+int64(len(p)) > t.req.Max {
		return &failure{kind: fault.Hostile, err: t.describe("is larger than the limit of %d bytes", t.req.Max)}
	}
	if t.c.limiter != nil {
		if err := t.c.limiter.WaitN(ctx, len(p)); err != nil {
			return &failure{kind: fault.Unavailable, err: err, again: true}
		}
	}
	t.sha256.Write(p)
	if t.sha512 != nil {
		t.sha512.Write(p)
	}
	if t.other != nil {
		t.other.Write(p)
	}
	n, err := t.sink.Write(p)
	t.n += int64(n)
	t.high = max(t.high, t.n)
	if err != nil {
		return sinkFailure(err)
	}
	t.c.opt.Progress(int64(n))
	return nil
}

// prove compares the digests, and returns the SHA-256.
func (t *transfer) prove() (string, *failure) {
	sum256, sum512 := hex.EncodeToString(t.sha256.Sum(nil)), ""
	if t.sha512 != nil {
		sum512 = hex.EncodeToString(t.sha512.Sum(nil))
	}
	for _, d := range []struct{ name, want, got string }{{"sha256", t.req.SHA256, sum256}, {"sha512", t.req.SHA512, sum512}} {
		if d.want != "" && d.got != d.want {
			return "", t.wrong("%s is %s, want %s", d.name, d.got, d.want)
		}
	}
	if t.other != nil {
		name, want, _ := strings.Cut(t.req.Checksum, ":")
		if got := hex.EncodeToString(t.other.Sum(nil)); got != want {
			return "", t.wrong("%s is %s, want %s", name, got, want)
		}
	}
	return sum256, nil
}

// wrong is content that is not what was asked for. Only bytes of several answers
// get another chance, in one piece: they may be right and not fit together.
func (t *transfer) wrong(format string, args ...any) *failure {
	return &failure{kind: fault.Unproved, err: t.describe(format, args...), again: t.resumed}
}

// describe adds what a page in the place of a file gives away.
func (t *transfer) describe(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	head := bytes.ToLower(bytes.TrimSpace(t.head))
	if bytes.HasPrefix(head, []byte("<html")) || bytes.HasPrefix(head, []byte("<!doctype html")) {
		return fmt.Errorf("%w: the answer begins with <html: does a captive portal or proxy answer in upstream's place?", err)
	}
	return err
}
