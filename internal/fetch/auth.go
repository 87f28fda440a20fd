package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// authTransport adds credentials below http.Client, which would otherwise carry
// an Authorization header on to subdomains of a host after a redirect.
type authTransport struct {
	reach       *reach
	own         *reach            // servers that logins and certificates are for; while empty, those of reach
	next        http.RoundTripper // without a client certificate
	certified   http.RoundTripper // with it, for own servers only
	credentials netrc
}

// RoundTrip sends credentials only to the server that was asked in the first
// place, and the client's certificate and the default login to own servers only.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.reach.check(req.URL); err != nil {
		return nil, err
	}
	first := req
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	at := server(req.URL)
	own := t.own.names(at) || t.own.empty() && t.reach.names(at)
	if sameServer(first, req) && req.Header.Get("Authorization") == "" {
		if l, ok := t.credentials.find(req.URL, own); ok {
			req = req.Clone(req.Context())
			req.SetBasicAuth(l.user, l.password)
		}
	}
	if own {
		return t.certified.RoundTrip(req)
	}
	return t.next.RoundTrip(req)
}

func sameServer(a, b *http.Request) bool {
	return a.URL.Scheme == b.URL.Scheme && strings.EqualFold(a.URL.Host, b.URL.Host) ||
		strings.EqualFold(a.URL.Hostname(), b.URL.Hostname()) && a.URL.Scheme == "http" && b.URL.Scheme == "https"
}

// CloseIdleConnections makes http.Client.CloseIdleConnections reach the transports.
func (t *authTransport) CloseIdleConnections() {
	for _, next := range []http.RoundTripper{t.next, t.certified} {
		if c, ok := next.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

const maxRedirects = 10

var (
	errDowngrade = errors.New("redirected from https to http")
	errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
)

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errDowngrade
	}
	req.Header.Del("Referer") // the URL before may hold what the next host must not see
	return nil
}
