// Package telemetry_test follows cycles of real workers through a real OTLP receiver.
//
// Its tests run one after the other: they share a server, and a worker of one
// would take the workflows of another.
package telemetry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/otlptest"
)

func TestMain(m *testing.M) { lab.Main(m) }

func start(t *testing.T, h *lab.House, env []string, name string, args ...string) *lab.Process {
	t.Helper()
	cmd := exec.Command(lab.Program(t, name), args...)
	cmd.Env = lab.Environ(append(env, "TEMPORAL_ADDRESS="+h.Address, "MIRRORCYCLE_SPEC="+filepath.Join(h.Dir, "mirrors.toml"))...)
	return lab.Spawn(t, cmd)
}

func run(t *testing.T, h *lab.House, env []string, args ...string) {
	t.Helper()
	if p := start(t, h, env, "starter", args...); p.Wait() != 0 {
		t.Fatalf("starter %v: %s", args, p)
	}
}

// tree checks that spans are one trace without orphans and returns its only
// root. A span may be sent twice, by workers that both came to a workflow's end.
func tree(t *testing.T, spans []otlptest.Span) otlptest.Span {
	t.Helper()
	ids, traces := map[string]bool{}, map[string]int{}
	for _, s := range spans {
		ids[otlptest.ID(s.SpanId)] = true
		traces[otlptest.ID(s.TraceId)]++
	}
	if len(traces) != 1 {
		t.Fatalf("%d traces: %v", len(traces), traces)
	}
	var roots []otlptest.Span
	for _, s := range spans {
		switch {
		case len(s.ParentSpanId) == 0:
			roots = append(roots, s)
		case !ids[otlptest.ID(s.ParentSpanId)]:
			t.Errorf("%s has a parent that did not come: %s", s.Name, otlptest.ID(s.ParentSpanId))
		}
	}
	if len(roots) != 1 {
		t.Fatalf("%d roots: %v", len(roots), roots)
	}
	return roots[0]
}

// names counts spans by their names.
func names(spans []otlptest.Span) map[string]int {
	out := map[string]int{}
	for _, s := range spans {
		out[s.Name]++
	}
	return out
}

const secret = "hush-hush"

// TestTrace follows a cycle that starter run starts: one trace, one root, every
// parent there, from the command to the requests, and no secret in it.
func TestTrace(t *testing.T) {
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	u.Project("nova", "1.0")
	mirrors := u.AptMirror("debian", "1h") + u.PyPIMirror("pypi", "1h")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Mirrors: withSecret(t, mirrors), NoWork: true})
	r := otlptest.New(t)
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"}
	scrape := lab.FreeAddress(t)
	w := start(t, h, env, "worker", "--roles", h.Roles(), "--metrics", scrape)
	run(t, h, env, "run")
	text := scraped(t, scrape)
	for _, want := range []string{"mirrorcycle_fetched_objects_total{", "temporal_activity_execution_latency", "http_client_request_duration_seconds_bucket{",
		"temporal_request_total{", "mirrorcycle_mirror_lag_seconds{", "mirrorcycle_region_lag_seconds{",
		"mirrorcycle_mirror_runs_total{", "mirrorcycle_cycle_duration_seconds_bucket{", "mirrorcycle_release_duration_seconds_bucket{"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not scraped", want)
		}
	}
	w.End(syscall.SIGTERM)
	log := w.String()

	spans := r.Spans()
	root := tree(t, spans)
	if root.Name != "starter run" || root.Service != "mirrorcycle-starter" {
		t.Errorf("the root is %s of %s", root.Name, root.Service)
	}
	got := names(spans)
	for _, want := range []string{"StartWorkflow:MirrorCycle", "RunWorkflow:MirrorCycle", "RunWorkflow:Mirror", "RunWorkflow:Refresh", "RunWorkflow:Serve",
		"RunActivity:Plan", "plan", "RunActivity:Fetch", "fetch", "RunActivity:Commit", "settle", "commit", "RunActivity:Verify", "verify",
		"RunActivity:Publish", "publish", "RunActivity:Probe", "probe", "reap", "GET"} {
		if got[want] == 0 {
			t.Errorf("no span %q among %v", want, got)
		}
	}
	if r.Metrics()["mirrorcycle.fetched.objects"] == nil {
		t.Errorf("metrics were not sent: %v", r.Metrics())
	}
	for _, s := range spans {
		if strings.Contains(s.String(), secret) {
			t.Errorf("a secret is in the span %s", s.Name)
		}
	}
	if strings.Contains(text+log, secret) {
		t.Error("a secret is in the metrics or the log")
	}
	logged(t, log, otlptest.ID(root.TraceId))
}

// withSecret puts a password and a query into the upstreams' URLs' netrc and path.
func withSecret(t *testing.T, mirrors string) string {
	t.Helper()
	netrc := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(netrc, []byte("default login mirror password "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(mirrors, "[[mirror]]\n", "[[mirror]]\nnetrc = \""+netrc+"\"\n")
}

func scraped(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %v", resp.Status, err)
	}
	return string(data)
}

// logged wants the steps of a worker's log to say which trace they are part of.
func logged(t *testing.T, log, trace string) {
	t.Helper()
	steps := 0
	for line := range strings.SplitSeq(log, "\n") {
		var r struct {
			Msg     string `json:"msg"`
			TraceID string `json:"trace_id"`
			SpanID  string `json:"span_id"`
		}
		if json.Unmarshal([]byte(line), &r) != nil || r.Msg != "step ended" {
			continue
		}
		steps++
		if r.TraceID != trace || r.SpanID == "" {
			t.Errorf("not of trace %s: %s", trace, line)
		}
	}
	if steps == 0 {
		t.Errorf("no step is in the log:\n%s", log)
	}
}

// TestWorkerDies kills the only worker in the middle of a cycle. Another one
// ends it, and the spans that the first one began but never ended come from it:
// what it did send has its parents. What was under way dies with it.
func TestWorkerDies(t *testing.T) {
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: u.AptMirror("debian", "1h"), NoWork: true})
	r := otlptest.New(t)
	// Every span is sent at once: what is buffered dies with the worker.
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.GRPC, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=10"}
	reached, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	u.SetGate(func(path string) {
		if strings.HasSuffix(path, ".deb") {
			once.Do(func() { close(reached) })
			<-open
		}
	})
	first := start(t, h, env, "worker", "--roles", h.Roles())
	cycle := start(t, h, env, "starter", "run")
	<-reached
	// The parent of what the second worker does next is the order to fetch, which is the first worker's.
	r.Wait(t, "the plan of the first worker, and its order to fetch", func(r *otlptest.Receiver) bool {
		got := names(r.Spans())
		return got["RunActivity:Plan"] > 0 && got["StartActivity:Fetch"] > 0
	})
	first.End(syscall.SIGKILL)
	close(open)
	second := start(t, h, env, "worker", "--roles", h.Roles())
	if cycle.Wait() != 0 {
		t.Fatal(cycle)
	}
	second.End(syscall.SIGTERM)
	spans := r.Spans()
	from := map[string]bool{}
	for _, s := range spans {
		from[s.Instance] = true
	}
	if root := tree(t, spans); root.Name != "starter run" || len(from) != 3 {
		t.Errorf("the root is %s, the processes are %v", root.Name, from)
	}
}
