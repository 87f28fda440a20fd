package site_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/site"
)

// TestWebServersTellHealth has nginx and Apache serve a site with the
// configurations of deploy, which know nothing but whether a file is there.
func TestWebServersTellHealth(t *testing.T) {
	for name, start := range map[string]func(*testing.T, string, string) string{"nginx": nginx, "apache": apache} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dfw-site")
			if err := site.Setup(dir, "dfw"); err != nil {
				t.Fatal(err)
			}
			put := func(now time.Time) {
				t.Helper()
				if _, err := site.Write(site.Options{Dir: dir, Status: site.Status{Region: "dfw", Cycle: "c"}, StaleAfter: 2 * time.Hour, Now: now,
					Files: map[string][]byte{"apt/a.sources": []byte("Types: deb\n"), "apt/a.gpg": {1, 2}}}); err != nil {
					t.Fatal(err)
				}
			}
			put(time.Now())
			conf, err := os.ReadFile(filepath.Join(lab.Root(), "deploy", name, "site.conf"))
			if err != nil {
				t.Fatal(err)
			}
			url := start(t, dir, strings.ReplaceAll(string(conf), "/srv/mirror/dfw-site", dir))
			expect(t, url+"/", 200, "text/html; charset=utf-8", "Mirrors in dfw")
			expect(t, url+"/status.json", 200, "application/json", `"version": 1`)
			expect(t, url+"/config/apt/a.sources", 200, "text/plain", "Types: deb")
			expect(t, url+"/config/apt/a.gpg", 200, "application/octet-stream", "\x01\x02")
			expect(t, url+"/config/", map[string]int{"nginx": 403, "apache": 404}[name], "", "")
			expect(t, url+"/.mirrorcycle-site", 404, "", "")
			expect(t, url+"/healthz", 200, "text/plain", "ok")
			put(time.Now().Add(-time.Hour)) // nobody wrote for an hour
			expect(t, url+"/healthz", 200, "text/plain", "ok")
			put(time.Now().Add(-3 * time.Hour))
			expect(t, url+"/healthz", 503, "", "")
			put(time.Now())
			expect(t, url+"/healthz", 200, "text/plain", "ok")
		})
	}
}

func expect(t *testing.T, url string, status int, kind, text string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("%s: %s %v\n%s", url, resp.Status, err, body)
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
		t.Errorf("%s is %s, want %s", url, got, kind)
	}
	if strings.HasSuffix(url, "/healthz") && status == 200 && resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", url, resp.Header.Get("Cache-Control"))
	}
}

// nginx serves an empty region with conf in its server block.
func nginx(t *testing.T, dir, conf string) string {
	run := t.TempDir()
	address := address(t)
	whole := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; %[4]s events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
types { text/html html; }
server { listen %[2]s; root %[1]s; %[3]s } }`, run, address, conf, user("user root;"))
	return serveWith(t, dir, address, "nginx", whole, func(file string) []string { return []string{"-c", file} })
}

// apache does the same.
func apache(t *testing.T, dir, conf string) string {
	modules := "/usr/lib/apache2/modules"
	address := address(t)
	var b strings.Builder
	b.WriteString(user("User nobody\nGroup nogroup\n"))
	for _, m := range []string{"mpm_event", "authz_core", "alias", "dir", "headers", "mime", "rewrite"} {
		fmt.Fprintf(&b, "LoadModule %[1]s_module %[2]s/mod_%[1]s.so\n", m, modules)
	}
	run := t.TempDir()
	fmt.Fprintf(&b, "ServerName localhost\nListen %[1]s\nPidFile %[2]s/pid\nServerRoot %[2]s\nErrorLog /dev/stderr\nTypesConfig /dev/null\nDocumentRoot %[2]s\n<Directory %[2]s>\nRequire all granted\n</Directory>\n<VirtualHost *>\n%[3]s\n</VirtualHost>\n", address, run, conf)
	return serveWith(t, dir, address, "apache2", b.String(), func(file string) []string { return []string{"-f", file, "-DFOREGROUND"} })
}

// user is a line for servers that are started as root and would read as somebody else.
func user(line string) string {
	if os.Geteuid() == 0 {
		return line
	}
	return ""
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveWith starts a server with its configuration and waits until it listens.
func serveWith(t *testing.T, dir, address, name, conf string, args func(file string) []string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/" + name)
	}
	lab.Need(t, name+" is not installed", err == nil)
	for up := dir; up != "/tmp" && up != "/"; up = filepath.Dir(up) { // its workers may be another user
		_ = os.Chmod(up, 0o755)
	}
	file := filepath.Join(t.TempDir(), name+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args(file)...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return "http://" + address
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", name, err, conf)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
