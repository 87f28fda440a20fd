package release_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// TestPullsOverTLS: who stands between origin and region and changes what is
// sealed is refused: with a certificate of its own, and with a redirect to http.
func TestPullsOverTLS(t *testing.T) {
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"tree":"0123456789abcdef","number":7,"manifest":"` + manifest.Digest{}.String() + `"}`))
	}))
	t.Cleanup(origin.Close)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: origin.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", trusted) // before the first connection of this package by TLS
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	to, err := url.Parse(origin.URL)
	if err != nil {
		t.Fatal(err)
	}
	tampering := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: origin.Client().Transport,
		ModifyResponse: func(r *http.Response) error {
			r.Body, r.ContentLength = http.NoBody, 0
			r.Header.Del("Content-Length")
			return nil
		}})
	tampering.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	tampering.StartTLS()
	t.Cleanup(tampering.Close)
	plain := httptest.NewServer(origin.Config.Handler)
	t.Cleanup(plain.Close)
	down := httptest.NewUnstartedServer(http.RedirectHandler(plain.URL, http.StatusFound))
	down.TLS = origin.TLS
	down.StartTLS()
	t.Cleanup(down.Close)

	sealed := func(at string) (*tree.Generation, error) { return pulledFrom(t, at).Sealed(t.Context()) }
	if g, err := sealed(origin.URL); err != nil || g.Number != 7 {
		t.Fatalf("the origin itself: %v, %v", g, err)
	}
	for name, tt := range map[string]struct{ at, says string }{
		"another certificate": {tampering.URL, "certificate"},
		"a redirect to http":  {down.URL, "redirect from https to http"},
	} {
		g, err := sealed(tt.at)
		if err == nil || g != nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
