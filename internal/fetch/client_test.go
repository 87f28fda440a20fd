package fetch_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConditional(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", modified, bytes.NewReader(content))
	})
	c, _ := newClient(t, fetch.Options{})
	req := fetch.Request{Upstreams: []string{srv.URL}, Path: "simple/", Header: http.Header{"Accept": {"text/plain"}}}
	data, first, err := c.GetBytes(t.Context(), req)
	if err != nil || !bytes.Equal(data, content) || first.NotModified || first.ETag != `"v1"` || first.LastModified == "" {
		t.Fatalf("%d bytes, %+v, %v", len(data), first, err)
	}
	for name, validators := range map[string][2]string{"ETag": {first.ETag, ""}, "Last-Modified": {"", first.LastModified}, "both": {first.ETag, first.LastModified}} {
		req.ETag, req.LastModified = validators[0], validators[1]
		if data, res, err := c.GetBytes(t.Context(), req); err != nil || !res.NotModified || len(data) != 0 {
			t.Errorf("%s: %d bytes, %+v, %v", name, len(data), res, err)
		}
	}
	req.ETag, req.LastModified = `"v0"`, ""
	if _, res, err := c.GetBytes(t.Context(), req); err != nil || res.NotModified {
		t.Errorf("changed: %+v, %v", res, err)
	}
}

func TestIndexIsCompressedOnTheWayAndObjectsAreNot(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			w.Header().Set("X-Plain", "yes")
			w.Write(content)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(content)
		z.Close()
	})
	c, _ := newClient(t, fetch.Options{})
	for name, tt := range map[string]struct {
		change func(*fetch.Request)
		plain  string
	}{
		"object":              {func(*fetch.Request) {}, "yes"},
		"index":               {func(r *fetch.Request) { r.Index, r.SHA256 = true, "" }, ""},
		"index of own choice": {func(r *fetch.Request) { r.Index, r.Header = true, http.Header{"Accept-Encoding": {"identity"}} }, "yes"},
	} {
		req := request(srv)
		tt.change(&req)
		var s sink
		if res, err := c.Get(t.Context(), req, &s); err != nil || !bytes.Equal(s.Bytes(), content) || res.Header.Get("X-Plain") != tt.plain {
			t.Errorf("%s: %d bytes, plain %q, %v", name, s.Len(), res.Header.Get("X-Plain"), err)
		}
	}
	// A bomb: little on the wire, more than allowed once unpacked.
	req := request(srv)
	req.Size, req.Max, req.Index, req.SHA256 = 0, 1000, true, ""
	if _, err := c.Get(t.Context(), req, &sink{}); !errors.Is(err, fault.Hostile) {
		t.Errorf("err = %v, want hostile", err)
	}
}

func TestStoredCompressionIsLeftAlone(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(content)
	z.Close()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "x-gzip") // as some servers label .gz files
		w.Write(packed.Bytes())
	})
	req := request(srv)
	req.Size, req.SHA256 = int64(packed.Len()), sha(packed.Bytes())
	c, _ := newClient(t, fetch.Options{})
	if _, err := c.Get(t.Context(), req, &sink{}); err != nil {
		t.Error(err)
	}
}

func TestRequestIsChecked(t *testing.T) {
	good := fetch.Request{Upstreams: []string{"http://archive.example.org"}, Path: "a", Size: 1, SHA256: sha(nil)}
	for name, tt := range map[string]struct {
		change func(*fetch.Request)
		kind   fault.Kind
	}{
		"no digest":         {func(r *fetch.Request) { r.SHA256 = "" }, fault.Config},
		"short digest":      {func(r *fetch.Request) { r.SHA256 = "ab" }, fault.Config},
		"no limit":          {func(r *fetch.Request) { r.SHA256, r.Size = strings.Repeat("a", 64), 0 }, fault.Config},
		"other scheme":      {func(r *fetch.Request) { r.Upstreams = []string{"ftp://archive.example.org"} }, fault.Config},
		"unreadable URL":    {func(r *fetch.Request) { r.Upstreams = []string{"http://me:secret@[::1"} }, fault.Config},
		"no upstream":       {func(r *fetch.Request) { r.Upstreams = nil }, fault.Config},
		"path leaves":       {func(r *fetch.Request) { r.Path = "a/../../b" }, fault.Hostile},
		"credentials shown": {func(r *fetch.Request) { r.Upstreams, r.Path = nil, "ftp://me:secret@e.example.org/x?token=secret" }, fault.Config},
	} {
		req := good
		tt.change(&req)
		c, _ := newClient(t, fetch.Options{})
		_, err := c.Get(t.Context(), req, &sink{})
		if !errors.Is(err, tt.kind) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want %v", name, err, tt.kind)
		}
	}
}

func TestPathIsEscaped(t *testing.T) {
	var got string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.RequestURI; w.Write(content) })
	req := request(srv)
	req.Path = "pool/g++/g++_1%3a2 ~?#.deb"
	c, _ := newClient(t, fetch.Options{})
	res, err := c.Get(t.Context(), req, &sink{})
	if want := "/debian/pool/g%2B%2B/g%2B%2B_1%253a2%20~%3F%23.deb"; err != nil || got != want || res.URL != srv.URL+want {
		t.Errorf("asked for %s, %+v, %v", got, res, err)
	}
	req.Upstreams, req.Path = nil, srv.URL+"/x%2Fy?token=secret"
	if res, err = c.Get(t.Context(), req, &sink{}); err != nil || got != "/x%2Fy?token=secret" || strings.Contains(res.URL, "secret") {
		t.Errorf("asked for %s, %+v, %v", got, res, err)
	}
}

func TestNetrc(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{}
	record := func(name string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			mu.Lock()
			got[name] = strings.Trim(user+":"+password, ":") + r.Header.Get("Referer")
			mu.Unlock()
			next(w, r)
		}
	}
	other := serve(t, record("other", whole(content, "")))
	toOther := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/elsewhere", http.StatusFound)
	}
	toSelf := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debian/pool/a.deb" {
			http.Redirect(w, r, "/again", http.StatusFound)
			return
		}
		record("again", whole(content, ""))(w, r)
	}
	tests := []struct {
		name, netrc string
		handler     http.HandlerFunc
		want        map[string]string
	}{
		{"own machine", "machine elsewhere.example.org login a password b\nmachine 127.0.0.1 login me password pw # mine\n", whole(content, ""), map[string]string{"first": "me:pw"}},
		{"one line per word, macro", "machine 127.0.0.1\n login me\n\tpassword pw\nmacdef init\n machine evil\n\n", whole(content, ""), map[string]string{"first": "me:pw"}},
		{"default", "default login d password e", whole(content, ""), map[string]string{"first": "d:e"}},
		{"no entry", "machine elsewhere.example.org login a password b", whole(content, ""), map[string]string{"first": ""}},
		{"not after a redirect to another server", "machine 127.0.0.1 login me password pw", toOther, map[string]string{"first": "me:pw", "other": ""}},
		{"default not after a redirect", "default login d password e", toOther, map[string]string{"first": "d:e", "other": ""}},
		{"after a redirect to the same server", "machine 127.0.0.1 login me password pw", toSelf, map[string]string{"first": "me:pw", "again": "me:pw"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clear(got)
			srv := serve(t, record("first", tt.handler), tt.handler)
			c, _ := newClient(t, fetch.Options{Netrc: writeFile(t, "netrc", tt.netrc), Internal: []string{"127.0.0.0/8"}})
			if _, err := c.Get(t.Context(), request(srv), &sink{}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCredentialsStayOutOfErrors(t *testing.T) {
	dead := serve(t, status(500))
	dead.Close()
	srv := serve(t, status(403), status(500))
	for _, s := range []*script{srv, dead} {
		c, _ := newClient(t, fetch.Options{Netrc: writeFile(t, "netrc", "machine 127.0.0.1 login me password secret")})
		req := request(s)
		req.Upstreams = []string{strings.Replace(s.URL, "http://", "http://user:secret@", 1)}
		if _, err := c.Get(t.Context(), req, &sink{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("err = %v", err)
		}
	}
	for _, bad := range []string{"machine x login me password", "secret", "login secret", "machine x wrong secret"} {
		_, err := fetch.New(fetch.Options{Netrc: writeFile(t, "netrc", bad)})
		if !errors.Is(err, fault.Config) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMissingFilesAreConfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, opt := range map[string]fetch.Options{
		"netrc": {Netrc: missing}, "authorities": {RootCAs: missing}, "certificate": {ClientCert: missing},
		"no certificate in it": {RootCAs: writeFile(t, "ca", "text")},
	} {
		if _, err := fetch.New(opt); !errors.Is(err, fault.Config) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	plain := serve(t, whole(content, ""))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusFound)
	}))
	defer secure.Close()
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	nowhere := serve(t, status(302))
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	tests := []struct {
		name, url string
		kind      fault.Kind
		says      string
	}{
		{"from https to http", secure.URL, fault.Hostile, "https to http"},
		{"loop", loop.URL, fault.Unavailable, "redirects"},
		{"without location", nowhere.URL, fault.Unavailable, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newClient(t, fetch.Options{RootCAs: ca, Attempts: 1})
			req := request()
			req.Upstreams = []string{tt.url}
			_, err := c.Get(t.Context(), req, &sink{})
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v", err)
			}
		})
	}
	if n := len(loop.requests()); n != 11 {
		t.Errorf("%d requests in a loop", n)
	}
	if n := len(plain.requests()); n != 0 {
		t.Errorf("%d requests after a downgrade", n)
	}
}

func TestCertificates(t *testing.T) {
	srv := httptest.NewUnstartedServer(whole(content, ""))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.Config.ErrorLog = discard
	srv.StartTLS()
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	both := writeFile(t, "both.pem", cert+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	for _, tt := range []struct {
		name string
		opt  fetch.Options
		kind fault.Kind
	}{
		{"authority and client certificate", fetch.Options{RootCAs: writeFile(t, "ca", cert), ClientCert: both}, ""},
		{"unknown authority", fetch.Options{ClientCert: both}, fault.Denied},
	} {
		c, _ := newClient(t, tt.opt)
		req := request()
		req.Upstreams = []string{srv.URL}
		if _, err := c.Get(t.Context(), req, &sink{}); fault.KindOf(err) != tt.kind {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// discard keeps the refused handshakes of a test server out of the output.
var discard = log.New(io.Discard, "", 0)
