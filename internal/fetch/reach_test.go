package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

// TestInternalServers: an upstream cannot make a worker ask what is behind its
// firewall, by a redirect or by a URL in a page, unless the worker allows it.
func TestInternalServers(t *testing.T) {
	inside := serve(t, whole(content, ""))
	redirect := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL+"/secret", http.StatusFound)
	})
	page := request()
	page.Upstreams, page.Path = nil, inside.URL+"/secret"
	host := strings.TrimPrefix(inside.URL, "http://")
	for name, tt := range map[string]struct {
		req fetch.Request
		own []string
		opt fetch.Options
		ok  bool
	}{
		"redirect":                    {request(redirect), nil, fetch.Options{}, false},
		"page":                        {page, []string{redirect.URL}, fetch.Options{}, false},
		"page, named by the spec":     {page, []string{inside.URL + "/index"}, fetch.Options{}, true},
		"redirect, named by the spec": {request(redirect), []string{redirect.URL, inside.URL}, fetch.Options{}, true},
		"server allowed":              {page, nil, fetch.Options{Internal: []string{host}}, true},
		"host allowed":                {page, nil, fetch.Options{Internal: []string{"127.0.0.1"}}, true},
		"network allowed":             {request(redirect), nil, fetch.Options{Internal: []string{"127.0.0.0/8"}}, true},
		"another server allowed":      {page, nil, fetch.Options{Internal: []string{"10.0.0.0/8", "127.0.0.1:1", "example.org"}}, false},
	} {
		before := len(inside.requests())
		c, p := newClient(t, tt.opt)
		if err := c.Own(tt.own...); err != nil {
			t.Fatal(err)
		}
		_, err := c.Get(t.Context(), tt.req, &sink{})
		asked := len(inside.requests()) - before
		if tt.ok && (err != nil || asked != 1) {
			t.Errorf("%s: %d requests, %v", name, asked, err)
		}
		if !tt.ok && (!errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "--internal-hosts "+host) || asked != 0 || len(p.all) != 0) {
			t.Errorf("%s: %d requests, %v", name, asked, err)
		}
	}
	if _, err := fetch.New(fetch.Options{Internal: []string{"http://x/"}}); !errors.Is(err, fault.Config) {
		t.Error(err)
	}
}

// TestInternalAddresses are refused in all their spellings, before anybody is asked.
func TestInternalAddresses(t *testing.T) {
	c, _ := newClient(t, fetch.Options{Attempts: 1})
	for _, host := range []string{"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
		"[fe80::1]", "[fd00::1]", "0.0.0.0", "[::]", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fec0::1]", "198.18.0.1", "192.0.0.170"} {
		_, _, err := c.GetBytes(t.Context(), fetch.Request{Path: "http://" + host + ":9/x"})
		if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "internal address") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestNamesOfInternalAddresses: the address counts that is connected to, whatever its name.
func TestNamesOfInternalAddresses(t *testing.T) {
	resolveAll(t, [4]byte{127, 0, 0, 1})
	inside := serve(t, whole(content, ""))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(inside.URL, "http://"))
	req := request()
	req.Upstreams, req.Path = nil, "http://files.example.org:"+port+"/a"
	c, _ := newClient(t, fetch.Options{Attempts: 1})
	if _, err := c.Get(t.Context(), req, &sink{}); !errors.Is(err, fault.Denied) || len(inside.requests()) != 0 {
		t.Errorf("%v, %d requests", err, len(inside.requests()))
	}
	c, _ = newClient(t, fetch.Options{Attempts: 1, Internal: []string{"Files.Example.org"}})
	if _, err := c.Get(t.Context(), req, &sink{}); err != nil || len(inside.requests()) != 1 {
		t.Errorf("%v, %d requests", err, len(inside.requests()))
	}
}

// resolveAll makes every name have one address, by a name server.
func resolveAll(t *testing.T, address [4]byte) {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: address}}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = l.WriteTo(answer, from)
			}
		}
	}()
	net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = true, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", l.LocalAddr().String())
	}
	t.Cleanup(func() { net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = false, nil })
}

// TestCertificatesGoToOwnServers: another server that asks for a client certificate gets none.
func TestCertificatesGoToOwnServers(t *testing.T) {
	var shown int
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = len(r.TLS.PeerCertificates)
		whole(content, "")(w, r)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	both := writeFile(t, "both.pem", cert+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	opt := fetch.Options{RootCAs: writeFile(t, "ca", cert), ClientCert: both, Internal: []string{"127.0.0.1"}}
	for name, tt := range map[string]struct {
		own  string
		want int
	}{"own": {srv.URL, 1}, "other": {"https://index.example.org", 0}} {
		c, _ := newClient(t, opt)
		if err := c.Own(tt.own); err != nil {
			t.Fatal(err)
		}
		req := request()
		req.Upstreams, req.Path = nil, srv.URL+"/a"
		if _, err := c.Get(t.Context(), req, &sink{}); err != nil || shown != tt.want {
			t.Errorf("%s: %d certificates, %v", name, shown, err)
		}
	}
}

// TestSlowBodies end when less than the floor comes within the time.
func TestSlowBodies(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i+100 <= 3000; i += 100 {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
			_, _ = w.Write(content[i : i+100])
			w.(http.Flusher).Flush()
		}
	}
	req := request(serve(t, drip))
	req.Size, req.SHA256 = 3000, sha(content[:3000])
	c, _ := newClient(t, fetch.Options{Stall: 50 * time.Millisecond, Floor: 2000, Attempts: 1})
	if _, err := c.Get(t.Context(), req, &sink{}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the least is 2000") {
		t.Errorf("err = %v", err)
	}
	c, _ = newClient(t, fetch.Options{Floor: 2000, Attempts: 1})
	if _, err := c.Get(t.Context(), req, &sink{}); err != nil {
		t.Errorf("above the floor: %v", err)
	}
}
