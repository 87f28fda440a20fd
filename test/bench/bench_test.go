package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/tree"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// connections of the bare downloader.
const connections = 32

// nginx serves dir on loopback and returns its URL.
func nginx(tb testing.TB, dir string) string {
	tb.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
		_, err = os.Stat(program)
	}
	lab.Need(tb, "nginx is not installed (package nginx-light)", err == nil)
	run, address := tb.TempDir(), lab.FreeAddress(tb)
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 512; }
http { access_log off; sendfile on; keepalive_requests 1000000;
 client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
 types { application/vnd.pypi.simple.v1+json json; } index index.json;
 server { listen %[2]s; root %[3]s; } }`, run, address, dir)
	if os.Getuid() == 0 {
		conf = "user root; " + conf
	}
	file := filepath.Join(run, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, "-e", run+"/error.log", "-c", file)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	url := "http://" + address
	for deadline := time.Now().Add(10 * time.Second); ; {
		if resp, err := http.Get(url + "/dists/stable/InRelease"); err == nil {
			resp.Body.Close()
			return url
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(run + "/error.log")
			tb.Fatalf("nginx does not answer: %s", log)
		}
	}
}

// bare downloads everything with plain GETs into files: what any mirror must at least do.
func bare(tb testing.TB, url, dir string, c *corpus) time.Duration {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}
	defer client.CloseIdleConnections()
	paths := make(chan string)
	errs := make(chan error, connections)
	var wg sync.WaitGroup
	start := time.Now()
	for range connections {
		wg.Go(func() {
			for p := range paths {
				if err := get(client, url+"/"+p, filepath.Join(dir, p)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for _, p := range c.packages {
		select {
		case paths <- strings.ReplaceAll(p.Filename, "+", "%2B"):
		case err := <-errs:
			tb.Fatal(err)
		}
	}
	close(paths)
	wg.Wait()
	return time.Since(start)
}

func get(client *http.Client, url, name string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		return err
	}
	return f.Close()
}

// worker runs bin/worker for the house and returns its peak memory when asked.
func worker(tb testing.TB, h *lab.House) func() int64 {
	tb.Helper()
	cmd := exec.Command(lab.Program(tb, "worker"), "--roles", h.Roles(), "--spec", h.SpecFile(), "--log-level", "error")
	cmd.Env = lab.Environ("TEMPORAL_ADDRESS=" + h.Address)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return func() int64 { return peak(cmd.Process.Pid) }
}

// peak is a process's VmHWM in bytes.
func peak(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func cycle(b *testing.B, h *lab.House, want workflows.Outcome) time.Duration {
	b.Helper()
	start := time.Now()
	r := h.Cycle().Mirrors[0]
	if r.Outcome != want || (len(r.Regions) > 0 && r.Regions[0].Error != "") {
		b.Fatalf("%+v", r)
	}
	return time.Since(start)
}

// BenchmarkAptCycle measures whole cycles through Temporal over 63,000
// packages of 2 KB, beside a bare downloader of the same files.
func BenchmarkAptCycle(b *testing.B) {
	n := 63000
	if s := os.Getenv("BENCH_PACKAGES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	dir := b.TempDir()
	c, err := newCorpus(filepath.Join(dir, "archive"), n)
	if err != nil {
		b.Fatal(err)
	}
	syscall.Sync() // the cycle's syncs must not write the archive out, too
	url := nginx(b, c.dir)
	keyring := filepath.Join(dir, "keyring.gpg")
	if err := os.WriteFile(keyring, debrepotest.PublicKeys(c.key), 0o644); err != nil {
		b.Fatal(err)
	}
	h := lab.New(b, lab.Options{Regions: []string{"here"}, NoWork: true, Every: "1h", Keep: "1h", Mirrors: fmt.Sprintf(
		"[[mirror]]\nname = \"debian\"\nkind = \"apt\"\nupstream = [%q]\nsuites = [\"stable\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\nkeyring = %q\n[limits]\ndownloads = 32\nper-host = 32\n",
		url, keyring)})
	memory := worker(b, h)
	for b.Loop() {
		cpu, start := busy(), time.Now()
		first := cycle(b, h, workflows.Done)
		b.Logf("CPU of the first cycle: %s", busy().since(cpu))
		if all, err := stages(context.Background(), h.Client, start); err != nil {
			b.Error(err)
		} else {
			b.Logf("activities of the first cycle, in seconds: %s", all)
		}
		cpu = busy()
		plain := bare(b, url, filepath.Join(dir, "bare"), c)
		b.Logf("CPU of the bare downloader: %s", busy().since(cpu))
		report(b, n, "first cycle", first)
		report(b, n, "bare downloader, 32 connections", plain)
		b.Logf("first / bare = %.2f", first.Seconds()/plain.Seconds())
		for range 3 {
			report(b, n, "cycle with nothing new", cycle(b, h, workflows.Unchanged))
		}
		report(b, n, "plan with nothing new", noop(b, h, url, keyring))
		if err := c.change(100, 1); err != nil {
			b.Fatal(err)
		}
		report(b, n, "cycle after a change of 1 %", cycle(b, h, workflows.Done))
		b.Logf("peak memory of the worker: %d MB", memory()>>20)
	}
}

// noop times the engine's plan alone.
func noop(b *testing.B, h *lab.House, url, keyring string) time.Duration {
	b.Helper()
	client, err := fetch.New(fetch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	t, err := tree.Open(tree.Config{Dir: h.Spec.TreeDir("debian"), State: h.Spec.StateDir("debian")})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	e := apt.New(apt.Config{Upstreams: []string{url}, Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"},
		Translations: []string{"en"}, Keyring: keyring, ByHash: true}, client)
	start := time.Now()
	digest, _, err := e.Plan(context.Background(), t)
	if err != nil || digest != "" {
		b.Fatalf("plan %s, %v: want nothing new", digest, err)
	}
	return time.Since(start)
}

func report(b *testing.B, n int, what string, d time.Duration) {
	b.Logf("%d packages, %d cores: %-32s %8.3f s", n, runtime.NumCPU(), what, d.Seconds())
}
