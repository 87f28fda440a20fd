package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/tree"
)

// Where an origin offers what a region needs beside the objects themselves.
const (
	originPrefix = "/.origin/"
	sealedName   = "sealed"
	segmentsDir  = "segments"
	indexDir     = "index"
)

const (
	stall      = time.Minute // a body that brings nothing for so long is given up
	maxRecord  = 64 << 20    // of a generation record: the engine's notes are in it
	maxSegment = 256 << 20
)

// httpSource pulls from an origin's web server.
type httpSource struct {
	base   string // storage.url
	mirror string
	client *http.Client
}

func newHTTPSource(base, mirror string) *httpSource {
	t := fetch.Proxied(http.DefaultTransport.(*http.Transport).Clone())
	t.ResponseHeaderTimeout = 30 * time.Second
	t.MaxIdleConnsPerHost = 16
	t.DisableCompression = true // digests are of the bytes as they are
	return &httpSource{base: strings.TrimSuffix(base, "/"), mirror: mirror, client: &http.Client{Transport: span.Transport(t), CheckRedirect: stayTLS}}
}

// stayTLS refuses redirects from https to http: nothing else proves what is pulled.
func stayTLS(req *http.Request, via []*http.Request) error {
	if len(via) > 10 {
		return errors.New("more than 10 redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("a redirect from https to %s", req.URL.Scheme)
	}
	return nil
}

func (h *httpSource) url(elem ...string) string {
	for i, e := range elem {
		parts := strings.Split(e, "/")
		for j, p := range parts {
			parts[j] = url.PathEscape(p)
		}
		elem[i] = strings.Join(parts, "/")
	}
	return h.base + "/" + strings.Join(elem, "/")
}

func (h *httpSource) private(elem ...string) string {
	return h.url(append([]string{strings.Trim(originPrefix, "/"), h.mirror}, elem...)...)
}

func (h *httpSource) get(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	fail := func(kind fault.Kind, err error, advice string) error {
		cancel(nil)
		return &fault.Error{Kind: kind, Op: "release: pull", Subject: name, Err: err, Advice: advice}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, fail(fault.Config, err, "mend storage.url")
	}
	// The sealed record changes under its name: no cache may answer for the origin.
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, fail(fault.Unavailable, err, "see whether the origin's web server runs")
	}
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNoContent:
		b := &body{ReadCloser: resp.Body, cancel: cancel}
		b.timer = time.AfterFunc(stall, func() { cancel(fmt.Errorf("no byte for %s", stall)) })
		return b, nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		err = fail(fault.Gone, errors.New(resp.Status), "check storage.url; the origin may have released a newer generation")
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		err = fail(fault.Denied, errors.New(resp.Status), "let this host read from the origin")
	default:
		err = fail(fault.Unavailable, errors.New(resp.Status), "see the origin's log")
	}
	resp.Body.Close()
	return nil, err
}

// body gives up when nothing comes any more, and calls a failing connection unavailable.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(stall)
	}
	if err != nil && err != io.EOF {
		err = &fault.Error{Kind: fault.Unavailable, Op: "release: pull", Err: err}
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

func (h *httpSource) whole(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, err := h.get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fault.Error{Kind: fault.Hostile, Op: "release: pull", Subject: name, Err: fmt.Errorf("more than %d bytes", limit), Advice: "check storage.url"}
	}
	return data, err
}

func (h *httpSource) Sealed(ctx context.Context) (*tree.Generation, error) {
	name := h.private(sealedName)
	data, err := h.whole(ctx, name, maxRecord)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	g := new(tree.Generation)
	if err := json.Unmarshal(data, g); err != nil || g.Tree == "" || g.Number <= 0 {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "release: pull", Subject: name, Err: err,
			Advice: "it is not a generation: does storage.url lead to the origin?"}
	}
	return g, nil
}

func (h *httpSource) ReadSegment(d manifest.Digest) ([]byte, error) {
	return h.whole(context.Background(), h.private(segmentsDir, d.String()), maxSegment)
}

func (h *httpSource) WriteSegment(manifest.Digest, []byte) error { return errReadOnly }

func (h *httpSource) Index(ctx context.Context, d manifest.Digest) (io.ReadCloser, error) {
	return h.get(ctx, h.private(indexDir, d.String()))
}

func (h *httpSource) Object(ctx context.Context, e manifest.Entry) (io.ReadCloser, error) {
	return h.get(ctx, h.url(h.mirror, e.Path))
}

func (h *httpSource) Path(string) string { return "" }
