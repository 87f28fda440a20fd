package lab

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx serves a region's directory with the configuration that operators get
// in deploy/, and returns its URL. Its processes run as another user, so the
// directories above must let everybody pass.
func Nginx(tb testing.TB, dir string) string {
	tb.Helper()
	program := serverProgram(tb, "nginx")
	run, address := tb.TempDir(), FreeAddress(tb)
	var temp string
	for _, p := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", p, run, p)
	}
	conf := filepath.Join(run, "nginx.conf")
	writeConf(tb, conf, "daemon off; pid "+run+"/pid; worker_processes 2; events {}\nhttp { access_log off;\n"+temp+
		configured(tb, "nginx/region.conf", "listen 80;", "listen "+address+";", "/srv/mirror/dfw;", dir+";")+"}\n")
	check := []string{"-e", "stderr", "-c", conf}
	serveBy(tb, address, exec.Command(program, append([]string{"-t"}, check...)...), exec.Command(program, check...))
	return "http://" + address
}

// Apache is Nginx for Apache.
func Apache(tb testing.TB, dir string) string {
	tb.Helper()
	program := serverProgram(tb, "apache2")
	address := FreeAddress(tb)
	conf := ApacheConf(tb, tb.TempDir(), address, "/srv/mirror/dfw", dir)
	serveBy(tb, address, exec.Command(program, "-t", "-f", conf), exec.Command(program, "-D", "FOREGROUND", "-f", conf))
	return "http://" + address
}

// ApacheConf writes a configuration into run that serves a region at address
// as deploy/apache/region.conf says, with changes, and returns its name.
func ApacheConf(tb testing.TB, run, address string, changes ...string) string {
	tb.Helper()
	serverProgram(tb, "apache2")
	types, err := os.ReadFile("/etc/mime.types") // a host of the lab has an /etc of its own
	if err != nil {
		tb.Fatal(err)
	}
	writeConf(tb, filepath.Join(run, "mime.types"), string(types))
	var b strings.Builder
	fmt.Fprintf(&b, "ServerRoot %q\nListen %s\nPidFile %s/pid\nErrorLog %s/error.log\nServerName localhost\nTypesConfig mime.types\nMutex file:%s\n", run, address, run, run, run)
	for _, m := range []string{"mpm_event", "authz_core", "mime", "dir", "negotiation", "headers", "alias", "rewrite"} {
		fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	if os.Geteuid() == 0 {
		b.WriteString("User www-data\nGroup www-data\n")
	}
	b.WriteString(configured(tb, "apache/region.conf", append([]string{"*:80", address}, changes...)...))
	conf := filepath.Join(run, "apache.conf")
	writeConf(tb, conf, b.String())
	return conf
}

func serverProgram(tb testing.TB, name string) string {
	tb.Helper()
	program, err := exec.LookPath("/usr/sbin/" + name)
	Need(tb, name+" is not installed", err == nil)
	return program
}

func writeConf(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// configured is an operator's configuration from deploy/, with these changes.
func configured(tb testing.TB, file string, changes ...string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(Root(), "deploy", file))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !bytes.Contains(data, []byte(changes[i])) {
			tb.Fatalf("deploy/%s does not say %q", file, changes[i])
		}
	}
	return strings.NewReplacer(changes...).Replace(string(data))
}

// serveBy checks a configuration, starts the server and waits until it answers.
func serveBy(tb testing.TB, address string, check, server *exec.Cmd) {
	tb.Helper()
	if out, err := check.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	tb.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for {
		if res, err := http.Get("http://" + address + "/"); err == nil {
			res.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			tb.Fatalf("%v: %s", err, said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
