package fetch_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

// TestNetrcAsAuthConf: entries as apt_auth.conf(5) has them, for a server with a
// port and repositories of different owners below different paths.
func TestNetrcAsAuthConf(t *testing.T) {
	resolveAll(t, [4]byte{127, 0, 0, 1})
	got := ""
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, _, _ = r.BasicAuth()
		whole(content, "")(w, r)
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(srv.URL, "http://"))
	const local, remote = "127.0.0.1", "archive.example.org" // remote is not this machine by its name
	for name, tt := range map[string]struct{ host, netrc, want string }{
		"host":                               {local, "machine 127.0.0.1 login me password x", "me"},
		"host and its port":                  {local, "machine 127.0.0.1:" + port + " login me password x", "me"},
		"another port":                       {local, "machine 127.0.0.1:1 login me password x", ""},
		"path above":                         {local, "machine 127.0.0.1/debian login me password x", "me"},
		"path above with a slash":            {local, "machine 127.0.0.1/debian/ login me password x", "me"},
		"port and path":                      {local, "machine 127.0.0.1:" + port + "/debian/pool login me password x", "me"},
		"another path":                       {local, "machine 127.0.0.1/ubuntu login me password x", ""},
		"a path that only begins alike":      {local, "machine 127.0.0.1/deb login me password x", ""},
		"first that fits":                    {local, "machine 127.0.0.1/ubuntu login u password x\nmachine 127.0.0.1/debian login d password x\nmachine 127.0.0.1 login all password x", "d"},
		"scheme":                             {local, "machine http://127.0.0.1 login me password x", "me"},
		"another scheme":                     {local, "machine https://127.0.0.1 login me password x", ""},
		"over a network, not in the clear":   {remote, "machine archive.example.org login me password x", ""},
		"over a network, as the entry says":  {remote, "machine http://archive.example.org/debian login me password x", "me"},
		"the default never crosses in clear": {remote, "default login me password x", ""},
		"capitals":                           {remote, "machine HTTP://Archive.Example.ORG login me password x", "me"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, fetch.Options{Netrc: writeFile(t, "netrc", tt.netrc), Attempts: 1})
			req := request()
			req.Upstreams = []string{"http://" + tt.host + ":" + port + "/debian"}
			if _, err := c.Get(t.Context(), req, &sink{}); err != nil || got != tt.want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for _, bad := range []string{"machine ftp://x", "machine x:99999", "machine x:y", "machine u@x", "machine x?secret", "machine /secret", "machine http://", "\nmachine \n"} {
		_, err := fetch.New(fetch.Options{Netrc: writeFile(t, "netrc", "# logins\n"+bad+" login me password secret\n")})
		if line := 2 + strings.Count(bad, "\n")/2; !errors.Is(err, fault.Config) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "line "+string(rune('0'+line))) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestWithheldLogins: who is refused because the login stays here is told how to send it.
func TestWithheldLogins(t *testing.T) {
	resolveAll(t, [4]byte{127, 0, 0, 1})
	srv := serve(t, status(http.StatusUnauthorized))
	req := request()
	req.Upstreams = []string{strings.Replace(srv.URL, "127.0.0.1", "archive.example.org", 1)}
	c, _ := newClient(t, fetch.Options{Netrc: writeFile(t, "netrc", "machine archive.example.org login me password secret")})
	_, err := c.Get(t.Context(), req, &sink{})
	if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "machine http://archive.example.org") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
