// Package fetch downloads one file at a time and proves it.
//
// A download is streamed: its memory is one buffer, whatever the size. It is
// counted and digested while it runs, so a wrong or endless answer ends early,
// resumed where it broke off, tried on every upstream, and limited in number,
// per host and in speed together with all the others of the same Client. What
// Get returns without error has the size and the digests that were asked for.
//
// It does not decide what to fetch, what a page means or where a file lives.
//
// Failures are sorted: fault.Gone (every upstream answers 404 or 410),
// fault.Denied (401, 403, 407, 451, or a certificate that proves nothing),
// fault.Unproved (wrong size or digest), fault.Hostile (beyond Max, or a redirect from https to
// http), fault.Unavailable (the rest of what a network does), fault.NoSpace and
// fault.Config (on this machine). A cancelled context is returned as such.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"mirrorcycle/internal/fault"
)

// Request says what to get and what it must turn out to be.
type Request struct {
	// Upstreams are the base URLs that hold Path, tried in order. With none, Path
	// is an absolute URL.
	Upstreams []string
	// Path is relative to each upstream and not escaped, such as
	// "pool/main/g/g++/g++_12_amd64.deb".
	Path string

	// Size is the expected size in bytes; 0 or less if unknown. (An empty file is
	// known by its digest.)
	Size int64
	// Max is the most bytes to take when Size is unknown.
	Max int64
	// SHA256 and SHA512 are the expected digests in lower-case hexadecimal.
	SHA256, SHA512 string
	// Checksum is "<algorithm>:<digits>" of another algorithm (md5, sha1, sha224 or
	// sha384), where an index has nothing better.
	Checksum string
	// Index marks a file whose content cannot be known in advance: it needs no
	// digest, and may be compressed on the way unless Header says otherwise. Caches
	// in between are told to ask upstream before they answer, and not to answer at
	// all when a first attempt has failed.
	Index bool

	// Header is added to each request.
	Header http.Header
	// ETag and LastModified are validators of what the caller has; if upstream
	// has nothing newer the result says NotModified and the sink stays empty.
	ETag, LastModified string
}

// Result describes what was got.
type Result struct {
	Size               int64       // bytes written to the sink
	SHA256             string      // their digest
	ETag, LastModified string      // validators for the next time
	Header             http.Header // of the last answer
	URL                string      // after redirects, without credentials
	NotModified        bool        // the caller's copy is current; nothing was written
	Upstream           string      // which of the request's upstreams answered, as it stands there
}

// Sink takes the bytes of one download. It is empty when Get begins. Reset makes
// it empty again, when what came so far turns out to be useless. After an error
// its content is worthless.
type Sink interface {
	io.Writer
	Reset() error
}

// DefaultMax is what GetBytes takes at most when neither Size nor Max says, in bytes.
const DefaultMax = 64 << 20

// GetBytes gets a small file into memory. A request without digests is taken for
// an index.
func (c *Client) GetBytes(ctx context.Context, req Request) ([]byte, Result, error) {
	if !req.proved() {
		req.Index = true
	}
	if req.Max <= 0 {
		req.Max = DefaultMax
	}
	var sink memory
	res, err := c.Get(ctx, req, &sink)
	if err != nil {
		return nil, res, err
	}
	return sink.Bytes(), res, nil
}

type memory struct{ bytes.Buffer }

func (m *memory) Reset() error { m.Buffer.Reset(); return nil }

// emptySHA256 is the digest of no bytes at all.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// size returns the expected size, or -1.
func (r Request) size() int64 {
	switch {
	case r.Size > 0:
		return r.Size
	case r.SHA256 == emptySHA256:
		return 0
	}
	return -1
}

func (r Request) proved() bool { return r.SHA256 != "" || r.SHA512 != "" || r.Checksum != "" }

func (r Request) conditional() bool { return r.ETag != "" || r.LastModified != "" }

// target is one place to try.
type target struct {
	url  *url.URL
	name string // for messages: without credentials and query
}

// targets checks a request and returns the URLs to try.
func (r Request) targets() ([]target, error) {
	switch {
	case !r.Index && !r.proved():
		return nil, errors.New("no digest to prove it by")
	case r.SHA256 != "" && len(r.SHA256) != 64, r.SHA512 != "" && len(r.SHA512) != 128:
		return nil, errors.New("digest of a wrong length")
	case r.Checksum != "" && NewChecksum(r.Checksum) == nil:
		return nil, errors.New("checksum of an unknown algorithm")
	case r.size() < 0 && r.Max <= 0:
		return nil, errors.New("neither size nor maximum is given")
	}
	if len(r.Upstreams) == 0 {
		u, err := parseURL(r.Path)
		return []target{{u, display(u)}}, err
	}
	out := make([]target, 0, len(r.Upstreams))
	for _, base := range r.Upstreams {
		u, err := parseURL(base)
		if err != nil {
			return nil, err
		}
		if u, err = join(u, r.Path); err != nil {
			return nil, err
		}
		out = append(out, target{u, display(u)})
	}
	return out, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse quotes the URL, with any password in it.
		return nil, errors.New("URL is not readable")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("URL %q is neither http nor https", display(u))
	}
	return u, nil
}

func join(base *url.URL, path string) (*url.URL, error) {
	for element := range strings.SplitSeq(path, "/") {
		if element == ".." {
			return nil, &fault.Error{Kind: fault.Hostile, Op: "fetch: join", Subject: path, Err: errors.New("leaves the upstream")}
		}
	}
	u := *base
	u.Path = strings.TrimRight(base.Path, "/") + "/" + strings.TrimPrefix(path, "/")
	u.RawPath = ""
	// Object stores read a plain "+" as a blank; apt escapes it for them as well.
	u.RawPath = strings.ReplaceAll(u.EscapedPath(), "+", "%2B")
	return &u, nil
}

// display is a URL fit for messages: a query may hold a signature, user
// information is a credential.
func display(u *url.URL) string {
	if u == nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
