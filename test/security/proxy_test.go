package security_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mirrorcycle/internal/lab"
)

// blabber is a proxy that refuses everything, and says back in status line,
// headers and body what it was sent. It returns its address and the number of
// times that it was given the login.
func blabber(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked := new(atomic.Int64)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				got := r.Header.Get("Proxy-Authorization")
				if got == want {
					asked.Add(1)
				}
				text := got + " " + login + ":" + password
				fmt.Fprintf(c, "HTTP/1.1 407 no: %s\r\nX-You-Sent: %[1]s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%[1]s", text, len(text))
			}()
		}
	}()
	return l.Addr().String(), asked
}

// TestProxySecretIsNotSaid: a proxy's login goes to the proxy, and neither into
// what programs say nor into what is kept, even if the proxy repeats it.
func TestProxySecretIsNotSaid(t *testing.T) {
	u := lab.NewUpstream(t)
	address, asked := blabber(t)
	mirrors := strings.ReplaceAll(u.AptMirror("debian", "1h"), u.URL, "http://upstream.example.org") +
		strings.ReplaceAll(u.PyPIMirror("pypi", "1h"), u.URL, "https://upstream.example.org")
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: mirrors, NoWork: true})
	proxy := "http://" + login + ":" + password + "@" + address
	env := []string{"TEMPORAL_ADDRESS=" + h.Address, "MIRRORCYCLE_SPEC=" + filepath.Join(h.Dir, "mirrors.toml"), "HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy}
	worker := start(t, env, "worker", "--roles", "cycle,sync:"+h.Spec.Storage.Name, "--log-level", "debug")
	said := map[string]string{}
	var code int
	if said["the cycle"], code = run(t, env, "starter", "run"); code == 0 {
		t.Errorf("the cycle ended well although the proxy refuses:\n%s", said["the cycle"])
	}
	said["status"], _ = run(t, env, "starter", "status")
	said["doctor"], _ = run(t, env, "starter", "doctor")
	said["the worker"] = worker.String()
	if n := asked.Load(); n < 2 {
		t.Errorf("the proxy was given the login %d times:\n%s", n, said["the cycle"])
	}
	before := asked.Load()
	far := append(env[1:], "TEMPORAL_ADDRESS=temporal.example.org:7233")
	said["a Temporal behind the proxy"], _ = run(t, far, "starter", "status")
	said["a worker behind the proxy"], _ = run(t, far, "worker", "--roles", "cycle")
	if asked.Load() == before {
		t.Errorf("Temporal was not asked through the proxy: %s", said["a Temporal behind the proxy"])
	}
	for what, text := range said {
		clean(t, what, []byte(text))
	}
	files(t, h.Dir)
	histories(t, h.Client)
}

// TestBrokenSecretsAreNotSaid: what holds a secret and cannot be read is named without it.
func TestBrokenSecretsAreNotSaid(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "temporal.toml")
	if err := os.WriteFile(profile, []byte("[profile.default]\napi_key = \""+apiKey+"\nnamespace = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "TEMPORAL_ADDRESS=" + lab.FreeAddress(t)
	for name, env := range map[string][]string{
		"profile":               {nobody, "TEMPORAL_CONFIG_FILE=" + profile},
		"API key":               {nobody, "TEMPORAL_API_KEY=" + apiKey + "\nx\x01"},
		"API key, sent":         {nobody, "TEMPORAL_API_KEY=" + apiKey},
		"OTLP headers":          {nobody, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%zz" + token + ",x" + password},
		"OTLP endpoint":         {nobody, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + login + ":" + password + "@127.0.0.1:1"},
		"OTLP endpoint, broken": {nobody, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + login + ":%zz" + password + "@127.0.0.1:1"},
		"proxy, broken":         {"TEMPORAL_ADDRESS=temporal.example.org:7233", "HTTPS_PROXY=http://" + login + ":%zz" + password + "@127.0.0.1:1"},
		"proxy, refused":        {"TEMPORAL_ADDRESS=temporal.example.org:7233", "HTTPS_PROXY=http://" + login + ":" + password + "@127.0.0.1:1"},
		"address":               {"TEMPORAL_ADDRESS=http://" + login + ":" + password + "@127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			for program, args := range map[string][]string{"starter": {"schedule", "list"}, "worker": {"--roles", "cycle"}} {
				out, code := run(t, env, program, args...)
				clean(t, program, []byte(out))
				if code == 0 {
					t.Errorf("%s ended well: %s", program, out)
				}
			}
		})
	}
}
