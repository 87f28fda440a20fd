package main

// This test lives inside the package because the test binary doubles as the
// command: with asCommand set it runs main, so that signals, flags and exit codes
// are those of a real process and nothing is linked twice.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/common/dynamicconfig"
)

const asCommand = "TEMPORAL_DEV_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func greet(_ workflow.Context, name string) (string, error) { return "hello " + name, nil }

var mirrorKey = temporal.NewSearchAttributeKeyKeyword("Mirror")

// start runs the server the way the product's own tests do.
func start(t *testing.T, o testsuite.DevServerOptions) *testsuite.DevServer {
	t.Helper()
	t.Setenv(asCommand, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.ExistingPath = self
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	srv, err := testsuite.StartDevServer(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func stop(t *testing.T, srv *testsuite.DevServer) {
	t.Helper()
	srv.Client().Close()
	if err := srv.Stop(); err != nil {
		t.Errorf("stop after SIGINT: %v", err)
	}
}

func TestRestartOnTheSameFileKeepsWorkflows(t *testing.T) {
	o := testsuite.DevServerOptions{
		DBFilename: filepath.Join(t.TempDir(), "new", "directory", "temporal.db"),
		Stdout:     io.Discard, Stderr: os.Stderr,
	}
	srv := start(t, o)
	runGreeting(t, srv.Client())
	stop(t, srv)

	// The second start also asks for an attribute that the file does not know yet.
	o.ExtraArgs = []string{"--search-attribute", "Mirror=Keyword"}
	srv = start(t, o)
	defer stop(t, srv)
	var got string
	if err := srv.Client().GetWorkflow(t.Context(), "greeting", "").Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if got != "hello temporal" {
		t.Errorf("result after restart = %q", got)
	}
	awaitAttribute(t, srv.Client())
}

func runGreeting(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, "greetings", worker.Options{})
	w.RegisterWorkflow(greet)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	run, err := c.ExecuteWorkflow(t.Context(),
		client.StartWorkflowOptions{ID: "greeting", TaskQueue: "greetings"}, greet, "temporal")
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// awaitAttribute waits until a workflow may carry the Mirror attribute.
func awaitAttribute(t *testing.T, c client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: "attributed", TaskQueue: "greetings",
			TypedSearchAttributes: temporal.NewSearchAttributes(mirrorKey.ValueSet("ubuntu")),
		}, greet, "attributes")
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("attribute never accepted: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestReadyLineThenOrderlyEndOnSIGTERM(t *testing.T) {
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asCommand, "1")
	cmd := exec.Command(os.Args[0], "server", "start-dev", "--port", strconv.Itoa(ports[0]),
		"--ui-port", strconv.Itoa(ports[1]), "--metrics-port", strconv.Itoa(ports[2]),
		"--namespace", "mirrors", "--search-attribute", "Mirror=Keyword",
		"--dynamic-config-value", "frontend.WorkflowPauseEnabled=true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 256)
	n, err := out.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "temporal ready in ") {
		t.Errorf("first output = %q, %v", line[:n], err)
	}
	for _, url := range []string{
		"http://" + hostPort(loopback, ports[1]) + "/api/v1/namespaces/mirrors",
		"http://" + hostPort(loopback, ports[2]) + "/metrics",
	} {
		if status := get(t, url); status != http.StatusOK {
			t.Errorf("GET %s = %d", url, status)
		}
	}
	api := "http://" + hostPort(loopback, ports[1]) + "/api/v1/namespaces/mirrors"
	for host, want := range map[string]int{"localhost:1": http.StatusOK, "[::1]": http.StatusOK, "evil.example.org": http.StatusForbidden, "localhost.example.org:1": http.StatusForbidden} {
		if status := getAs(t, api, host); status != want {
			t.Errorf("GET as %s = %d, want %d", host, status, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("output after the ready line: %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("end after SIGTERM: %v", err)
	}
}

func get(t *testing.T, url string) int { return getAs(t, url, "") }

// getAs asks as a browser does for which the server has that name.
func getAs(t *testing.T, url, host string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestPortInUseIsRefusedBeforeAnythingStarts(t *testing.T) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stdout, stderr bytes.Buffer
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	code := command([]string{"server", "start-dev", "--headless", "--port", port}, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), port) || stdout.Len() > 0 {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

// TestUserWithoutEntry: as in a container that runs with just any number.
func TestUserWithoutEntry(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can become somebody else")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "temporal-dev")
	if err := errors.Join(os.WriteFile(program, self, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	const uid = 54321
	cmd := exec.Command(program, "server", "start-dev", "--headless")
	cmd.Dir, cmd.Env = "/", []string{asCommand + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "/etc/passwd") || bytes.Count(out, []byte("\n")) > 3 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCommandLines(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"short version is the server's":    {[]string{"version", "--short"}, exitDone, "1.32.1\n", ""},
		"version names both":               {[]string{"version"}, exitDone, "temporal-dev server 1.32.1, ui 2.54.1\n", ""},
		"unknown argument of version":      {[]string{"version", "--long"}, exitUsage, "", `unknown argument "--long"`},
		"help is no mistake":               {[]string{"server", "start-dev", "-h"}, exitDone, "", "-db-filename"},
		"unknown flag":                     {[]string{"server", "start-dev", "--nope"}, exitUsage, "", "-nope"},
		"stray argument":                   {[]string{"server", "start-dev", "now"}, exitUsage, "", `"now"`},
		"attribute of unknown type":        {[]string{"--search-attribute", "Mirror=Word"}, exitUsage, "", `"Word"`},
		"attribute without type":           {[]string{"--search-attribute", "Mirror"}, exitUsage, "", "NAME=Type"},
		"dynamic value that is not JSON":   {[]string{"--dynamic-config-value", "a.b=yes"}, exitUsage, "", "not JSON"},
		"unknown log level":                {[]string{"--log-level", "loud"}, exitUsage, "", `"loud"`},
		"address that does not resolve":    {[]string{"--ip", "not an address"}, exitUsage, "", "-ip"},
		"pragma without value":             {[]string{"--sqlite-pragma", "wal"}, exitUsage, "", "NAME=VALUE"},
		"SQLite file where no file can be": {[]string{"--headless", "--port", "0", "--db-filename", "/dev/null/x"}, exitFailed, "", "/dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := command(c.args, &stdout, &stderr)
			if code != c.code || stdout.String() != c.stdout || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestOptionsOfStartDev(t *testing.T) {
	o, err := parseOptions([]string{"--port", "7000", "--ip", "localhost", "-n", "mirrors",
		"--search-attribute", "Mirror=Keyword", "--search-attribute", "Objects=Int",
		"--dynamic-config-value", "limit.x=7", "--dynamic-config-value", "limit.y=0.5"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.uiPort != 8000 || o.ip != loopback || strings.Join(o.namespaces, " ") != "default mirrors" {
		t.Errorf("ui port %d, ip %s, namespaces %v", o.uiPort, o.ip, o.namespaces)
	}
	if o.attributes["Mirror"] != enumspb.INDEXED_VALUE_TYPE_KEYWORD || o.attributes["Objects"] != enumspb.INDEXED_VALUE_TYPE_INT {
		t.Errorf("attributes %v", o.attributes)
	}
	if x, y := o.dynamic[dynamicconfig.MakeKey("limit.x")], o.dynamic[dynamicconfig.MakeKey("limit.y")]; x != 7 || y != 0.5 {
		t.Errorf("dynamic values %v (%T), %v (%T)", x, x, y, y)
	}
}
