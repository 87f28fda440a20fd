package security_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
)

// authority signs certificates for one test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca")
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key; the first certificate is the authority's own.
func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// front is Temporal behind TLS with client certificates and an API key, as a
// company's or a hosted one stands. It returns the variables that lead to it.
func front(t *testing.T, address, apiKey string) []string {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, "server")
	a.issue(t, "client")
	own, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // polls that a worker gives up
	proxy.Transport = &http.Transport{Protocols: plain}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+apiKey {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "16") // unauthenticated
			w.Header().Set("Grpc-Message", "who are you")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = proxy.ErrorLog
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.StartTLS()
	t.Cleanup(s.CloseClientConnections)
	return []string{"TEMPORAL_ADDRESS=" + strings.TrimPrefix(s.URL, "https://"), "TEMPORAL_API_KEY=" + apiKey, "TEMPORAL_TLS=true",
		"TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + a.path("ca.pem"), "TEMPORAL_TLS_CLIENT_CERT_PATH=" + a.path("client.pem"),
		"TEMPORAL_TLS_CLIENT_KEY_PATH=" + a.path("client.key")}
}

// TestTemporalByTLS: both programs reach a Temporal that wants a client
// certificate and an API key, and neither does without any one part of that.
func TestTemporalByTLS(t *testing.T) {
	_, address := lab.Temporal(t)
	const key = "api-key-of-this-test"
	env := front(t, address, key)
	other := newAuthority(t)
	other.issue(t, "client")
	for name, tc := range map[string]struct {
		change string // replaces the variable
		ok     bool
	}{
		"everything":                    {ok: true},
		"no API key":                    {change: "TEMPORAL_API_KEY="},
		"another API key":               {change: "TEMPORAL_API_KEY=guess"},
		"a server of another authority": {change: "TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + other.path("ca.pem")},
		"a client of another authority": {change: "TEMPORAL_TLS_CLIENT_CERT_PATH=" + other.path("client.pem") + "\nTEMPORAL_TLS_CLIENT_KEY_PATH=" + other.path("client.key")},
		"no client certificate":         {change: "TEMPORAL_TLS_CLIENT_CERT_PATH=\nTEMPORAL_TLS_CLIENT_KEY_PATH="},
	} {
		t.Run(name, func(t *testing.T) {
			env := append(append([]string(nil), env...), strings.Fields(tc.change)...)
			out, code := run(t, env, "starter", "schedule", "list")
			if (code == 0) != tc.ok {
				t.Errorf("starter ended with %d:\n%s", code, out)
			}
			worker := start(t, env, "worker", "--roles", "cycle")
			if tc.ok {
				worker.Await("worker starts")
				worker.End(syscall.SIGTERM)
				return
			}
			worker.Await("temporal: connect to")
			if worker.Wait() == 0 || strings.Contains(worker.String()+out, key) {
				t.Errorf("the worker ended well, or one told the key:\n%s\n%s", worker, out)
			}
		})
	}
}
