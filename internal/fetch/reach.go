package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
)

// reach decides to which servers a client may connect. What the spec names may
// be anywhere. What an upstream names, in a redirect or a page, may only be at
// public addresses, or where the worker's configuration allows it: an upstream
// must not make a worker ask the services of its own host and network.
type reach struct {
	mu      sync.Mutex
	named   map[string]bool // servers (host:port) that the spec names
	allowed []string        // hosts and servers that may be internal
	nets    []netip.Prefix  // internal addresses that may be asked
}

// newReach reads what Options say.
func newReach(opt Options) (*reach, error) {
	r := &reach{named: map[string]bool{}}
	for _, text := range opt.Internal {
		if p, err := netip.ParsePrefix(text); err == nil {
			r.nets = append(r.nets, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			r.nets = append(r.nets, netip.PrefixFrom(a, a.BitLen()))
		} else if strings.ContainsAny(text, "/@ ") || text == "" {
			return nil, fmt.Errorf("%q is no host, host:port, address or network", text)
		} else {
			r.allowed = append(r.allowed, strings.ToLower(text))
		}
	}
	return r, nil
}

// name adds a server that the spec names. The plain port and that of TLS are one.
func (r *reach) name(u *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	host := strings.ToLower(u.Hostname())
	switch u.Port() {
	case "", "80", "443":
		r.named[net.JoinHostPort(host, "80")] = true
		r.named[net.JoinHostPort(host, "443")] = true
	default:
		r.named[net.JoinHostPort(host, u.Port())] = true
	}
}

// names reports whether the spec names a server.
func (r *reach) names(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.named[server]
}

func (r *reach) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.named) == 0
}

// free reports whether a server may be at any address.
func (r *reach) free(server string) bool {
	server = strings.ToLower(server)
	host, _, _ := net.SplitHostPort(server)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named[server] {
		return true
	}
	for _, a := range r.allowed {
		if a == server || a == host {
			return true
		}
	}
	return false
}

// server is the host and port that a URL leads to.
func server(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// errInternal is the refusal of a server at an internal address.
type errInternal struct{ host string }

func (e errInternal) Error() string {
	return fmt.Sprintf("upstream leads to %s, which is at an internal address that the spec does not name", e.host)
}

// check refuses a URL whose host is an internal address as it stands, before a
// proxy is asked for it. Names are judged when they are resolved.
func (r *reach) check(u *url.URL) error {
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if err == nil && !r.internal(addr) || err != nil && !local || r.free(server(u)) {
		return nil
	}
	return errInternal{server(u)}
}

// dial connects to a server, if its address is fit for it. proxy reports
// whether it is a proxy, which the worker's environment names.
func (r *reach) dial(d net.Dialer, proxy func(string) bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := d
		if !r.free(address) && !proxy(address) {
			d.ControlContext = func(_ context.Context, _, at string, _ syscall.RawConn) error {
				to, err := netip.ParseAddrPort(at)
				if err != nil || r.internal(to.Addr()) {
					return errInternal{address}
				}
				return nil
			}
		}
		return d.DialContext(ctx, network, address)
	}
}

// special are the networks of special use (RFC 6890 and its registry) that
// netip has no question for.
var special = func() (out []netip.Prefix) {
	for _, s := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "64:ff9b:1::/48", "fec0::/10"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// embedding are the networks whose addresses hold an IPv4 address: of NAT64 in
// the last four bytes, of 6to4 behind the first two.
var nat64, sixToFour = netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16")

// internal reports whether an address is not one of the public Internet, and is
// not allowed by the worker's configuration.
func (r *reach) internal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range r.nets {
		if p.Contains(a) {
			return false
		}
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return r.internal(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return r.internal(netip.AddrFrom4([4]byte(b[2:6])))
	case a.IsLoopback(), a.IsPrivate(), a.IsLinkLocalUnicast(), a.IsUnspecified(), a.IsMulticast():
		return true
	}
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// proxies remembers the proxies that the environment names.
type proxies struct{ seen sync.Map }

// of wraps the proxy function of a transport.
func (p *proxies) of(next func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		u, err := next(req)
		if u != nil {
			port := u.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
			}
			p.seen.Store(net.JoinHostPort(u.Hostname(), port), true)
		}
		return u, err
	}
}

func (p *proxies) are(server string) bool { _, ok := p.seen.Load(server); return ok }

// internalAdvice says how a refusal is lifted.
func internalAdvice(err error) string {
	var in errInternal
	if !errors.As(err, &in) {
		return ""
	}
	return "if it is meant, name it in upstream or start the worker with --internal-hosts " + in.host
}
