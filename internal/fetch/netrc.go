package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// login is one entry of a netrc file.
type login struct{ user, password string }

// netrc maps a host to its login; "" is the entry called default.
type netrc map[string]login

// readNetrc reads a file of credentials as netrc(5) and curl describe it; a path
// of "" is no file.
func readNetrc(path string) (netrc, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseNetrc(string(data))
}

func parseNetrc(text string) (netrc, error) {
	out := netrc{}
	host, open := "", false
	macro := false
	for number, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if macro { // a macro goes on to the next empty line
			macro = len(words) > 0
			continue
		}
		for i := 0; i < len(words); i++ {
			word := words[i]
			if strings.HasPrefix(word, "#") {
				break
			}
			if word == "default" {
				host, open = "", true
				out[host] = login{}
				continue
			}
			if word == "macdef" {
				macro = true
				break
			}
			if i++; i >= len(words) {
				return nil, fmt.Errorf("line %d: nothing follows %q", number+1, keyword(word))
			}
			entry := out[host]
			switch {
			case word == "machine":
				host, open = strings.ToLower(words[i]), true
				entry = login{}
			case !open:
				return nil, fmt.Errorf("line %d: no machine before it", number+1)
			case word == "login":
				entry.user = words[i]
			case word == "password":
				entry.password = words[i]
			case word == "account":
			default:
				return nil, fmt.Errorf("line %d: unknown word", number+1)
			}
			out[host] = entry
		}
	}
	return out, nil
}

// keyword shows a word only if it is part of the format: anything else may be a secret.
func keyword(word string) string {
	switch word {
	case "machine", "login", "password", "account":
		return word
	}
	return "…"
}

// authTransport adds credentials below http.Client, which would otherwise carry
// an Authorization header on to subdomains of a host after a redirect.
type authTransport struct {
	next        http.RoundTripper
	credentials netrc
}

// RoundTrip sends credentials only to the host that was asked in the first place.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	first := req
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	if sameServer(first, req) && req.Header.Get("Authorization") == "" {
		if l, ok := t.credentials.find(req.URL.Hostname()); ok {
			req = req.Clone(req.Context())
			req.SetBasicAuth(l.user, l.password)
		}
	}
	return t.next.RoundTrip(req)
}

func sameServer(a, b *http.Request) bool {
	return a.URL.Scheme == b.URL.Scheme && strings.EqualFold(a.URL.Host, b.URL.Host) ||
		strings.EqualFold(a.URL.Hostname(), b.URL.Hostname()) && a.URL.Scheme == "http" && b.URL.Scheme == "https"
}

func (n netrc) find(host string) (login, bool) {
	if l, ok := n[strings.ToLower(host)]; ok {
		return l, true
	}
	l, ok := n[""]
	return l, ok
}

// CloseIdleConnections makes http.Client.CloseIdleConnections reach the transport.
func (t *authTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
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
