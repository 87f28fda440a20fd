package reqsource

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"mirrorcycle/internal/fault"
)

// The environment of a worker that asks GitHub. None of it is logged.
const (
	envToken        = "GITHUB_TOKEN"               // a personal or fine-grained token
	envApp          = "GITHUB_APP_ID"              // or an App: its ID,
	envInstallation = "GITHUB_APP_INSTALLATION_ID" // the ID of its installation,
	envKey          = "GITHUB_APP_PRIVATE_KEY"     // and the path of its private key (PEM)
	envURL          = "GITHUB_API_URL"             // of an Enterprise server, such as https://github.example.org/api/v3
)

// auth is who asks. Without a token and an App, GitHub answers to anybody, but
// to 60 requests in an hour only.
type auth struct {
	base         string // Enterprise, "" for the public one
	token        string
	app, install string
	key          *rsa.PrivateKey

	mu      sync.Mutex
	minted  string // token of the installation
	expires time.Time
}

func authFrom(env func(string) string) (*auth, error) {
	wrong := func(name string, err error, advice string) (*auth, error) {
		return nil, &fault.Error{Kind: fault.Config, Op: "reqsource: read environment", Subject: name, Err: err, Advice: advice}
	}
	a := &auth{base: env(envURL), token: env(envToken), app: env(envApp), install: env(envInstallation)}
	if a.base != "" {
		u, err := url.Parse(a.base)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
			return wrong(envURL, errors.New("it is no https URL"), "set it to one like https://github.example.org/api/v3, or leave it out")
		}
	}
	path := env(envKey)
	if a.token != "" || a.app == "" && a.install == "" && path == "" {
		return a, nil
	}
	if a.app == "" || a.install == "" || path == "" {
		return wrong(envApp, fmt.Errorf("an App needs %s, %s and %s", envApp, envInstallation, envKey), "set all three, or "+envToken)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		a.key, err = parseKey(data)
	}
	if err != nil {
		return wrong(envKey, err, "name the PEM file that GitHub gave for the App")
	}
	return a, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// parseKey reads an RSA key in PKCS #1 or #8.
func parseKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no RSA key")
	}
	key, ok := any.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is no RSA key")
	}
	return key, nil
}

// assertion signs who the App is (RFC 7519, RS256). It is dated back a minute
// and good for nine, since GitHub takes ten at most by its own clock.
func (a *auth) assertion(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": a.app})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), err
}
