package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/otlptest"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/standing"
	"mirrorcycle/internal/telemetry"
)

var update = flag.Bool("update", false, "write the golden files")

// clear unsets every variable of OpenTelemetry's for the test.
func clear(t *testing.T) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

func begin(t *testing.T, o telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Stop(context.Background()) })
	return tel
}

func TestSilenceMeansNoExporter(t *testing.T) {
	clear(t)
	if tel := begin(t, telemetry.Options{Service: "test"}); tel.Tracing || tel.Metering || tel.Address != "" {
		t.Errorf("%+v", tel)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if tel := begin(t, telemetry.Options{Service: "test"}); tel.Tracing || tel.Metering {
		t.Errorf("disabled: %+v", tel)
	}
}

func TestVariables(t *testing.T) {
	r := otlptest.New(t)
	for name, c := range map[string]struct {
		env               map[string]string
		tracing, metering bool
		wrong             string
	}{
		"an endpoint":              {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL}, tracing: true, metering: true},
		"an endpoint for traces":   {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": r.URL}, tracing: true},
		"none for traces":          {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL, "OTEL_TRACES_EXPORTER": "none"}, metering: true},
		"over gRPC":                {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.GRPC, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, tracing: true, metering: true},
		"an unknown exporter":      {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, wrong: "OTEL_TRACES_EXPORTER"},
		"prometheus for traces":    {env: map[string]string{"OTEL_TRACES_EXPORTER": "prometheus"}, wrong: "OTEL_TRACES_EXPORTER"},
		"an unknown protocol":      {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, wrong: "PROTOCOL"},
		"attributes without sense": {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_RESOURCE_ATTRIBUTES": "a"}, wrong: "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			clear(t)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test"})
			defer tel.Stop(context.Background())
			if c.wrong != "" {
				if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || tel.Tracing != c.tracing || tel.Metering != c.metering {
				t.Errorf("%+v %v", tel, err)
			}
		})
	}
}

// record is a record with everything that a gauge could tell.
func record(now time.Time) *standing.Record {
	return &standing.Record{Status: site.Status{Cycles: []site.Cycle{{Started: now.Add(-time.Minute)}}, Mirrors: []site.Mirror{{
		Name: "debian", Kind: "apt", Outcome: "held", Generation: 7, LevelAt: now.Add(-time.Hour), Objects: 90, Bytes: 4096,
		Lacks:   &site.Lacks{Missing: map[string]int64{"gone": 2, "unavailable": 1}},
		Regions: []site.Served{{Region: "dfw", Outcome: "done", Serves: 6, LevelAt: now.Add(-2 * time.Hour), Waiting: 3, WaitingBytes: 300}}}}},
		Details: map[string]standing.Detail{"debian": {Missing: 10, ValidUntil: now.Add(time.Hour), Wheels: map[string]map[string]int{"here": {"due": 2}}}}}
}

// TestMetrics scrapes every metric there is; their names are a contract with dashboards.
func TestMetrics(t *testing.T) {
	clear(t)
	tel := begin(t, telemetry.Options{Service: "test", Metrics: "127.0.0.1:0"})
	state, now := t.TempDir(), time.Now()
	if err := standing.Write(state, "demo", record(now)); err != nil {
		t.Fatal(err)
	}
	telemetry.Watch(state)
	everything(t)
	text := scrape(t, tel)
	for _, want := range []string{
		`mirrorcycle_mirror_generation{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian"} 7`,
		`mirrorcycle_mirror_completeness_ratio{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian"} 0.9`,
		`mirrorcycle_mirror_missing{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian",mirrorcycle_reason="gone"} 2`,
		`mirrorcycle_mirror_refused{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian"} 0`,
		`mirrorcycle_mirror_held{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian"} 1`,
		`mirrorcycle_region_waiting_size_bytes{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian",mirrorcycle_region="dfw"} 300`,
		`mirrorcycle_mirror_lag_seconds{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian"} 36`,
		`mirrorcycle_wheels_pins{mirrorcycle_cycle="demo",mirrorcycle_kind="apt",mirrorcycle_mirror="debian",mirrorcycle_platform="here",mirrorcycle_state="due"} 2`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	var families []string
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok && !strings.HasPrefix(rest, "target_info") {
			families = append(families, rest)
		}
	}
	slices.Sort(families)
	golden(t, "testdata/metrics.golden", strings.Join(families, "\n")+"\n")
	documented(t, text, families)
}

// everything happens once, so that every counter exists.
func everything(t *testing.T) {
	ctx := t.Context()
	for _, c := range telemetry.Counters() {
		c.Add(ctx, 1)
	}
	for _, c := range telemetry.Timers() {
		c.Record(ctx, time.Second)
	}
	client := &http.Client{Transport: span.Transport(http.DefaultTransport)}
	resp, err := client.Get(otlptest.New(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	resp, err := http.Get("http://" + tel.Address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", name, diff)
	}
}

// TestAddressInUse is a mistake that is told at the start.
func TestAddressInUse(t *testing.T) {
	clear(t)
	tel := begin(t, telemetry.Options{Service: "test", Metrics: "127.0.0.1:0"})
	if _, err := telemetry.Start(t.Context(), telemetry.Options{Metrics: tel.Address}); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), tel.Address) {
		t.Errorf("%v", err)
	}
}

// TestRequests: below a span every failed request is recorded, of the others as
// many as the limit says; no secret is.
func TestRequests(t *testing.T) {
	clear(t)
	r := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	tel := begin(t, telemetry.Options{Service: "test"})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/gone") {
			w.WriteHeader(http.StatusGone)
		}
		if req.Header.Get("Traceparent") != "" {
			t.Error("a trace header went upstream")
		}
	})
	server := newServer(t, mux)
	ctx, root := otel.Tracer("test").Start(t.Context(), "root")
	client := &http.Client{Transport: span.Transport(http.DefaultTransport)}
	for i := range 5 {
		get(t, span.Limit(ctx, 0), client, fmt.Sprintf("http://mirror:hush@%s/gone/%d?token=hush", server, i))
	}
	limited := span.Limit(ctx, 3)
	for i := range 10 {
		get(t, limited, client, fmt.Sprintf("http://mirror:hush@%s/there/%d?token=hush", server, i))
	}
	root.End()
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, there := 0, 0
	for _, s := range r.Spans() {
		u := s.Attribute("url.full")
		switch {
		case strings.Contains(s.String(), "hush"):
			t.Errorf("a secret: %s", s)
		case strings.Contains(u, "/gone"):
			if gone++; s.Attribute("error.type") != "410" {
				t.Errorf("%s", s)
			}
		case strings.Contains(u, "/there"):
			there++
		}
	}
	if gone != 5 || there != 3 {
		t.Errorf("%d failed and %d good requests were recorded", gone, there)
	}
	otel.SetTracerProvider(noop.NewTracerProvider())
}

func get(t *testing.T, ctx context.Context, c *http.Client, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestLogsSayTheTrace(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(telemetry.Logs(slog.NewJSONHandler(&b, nil)))
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), sc), "with")
	log.With("TraceID", sc.TraceID(), "SpanID", sc.SpanID()).Info("of Temporal's")
	log.Info("without")
	var got []map[string]any
	for line := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "time")
		delete(m, "level")
		got = append(got, m)
	}
	id := map[string]any{"trace_id": sc.TraceID().String(), "span_id": sc.SpanID().String()}
	want := []map[string]any{{"msg": "with"}, {"msg": "of Temporal's"}, {"msg": "without"}}
	for k, v := range id {
		want[0][k], want[1][k] = v, v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func newServer(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// documented holds the table of docs/telemetry.md to what is scraped.
func documented(t *testing.T, text string, families []string) {
	t.Helper()
	const name, start, end = "../../docs/telemetry.md", "<!-- metrics: go test ./internal/telemetry -update -->\n", "<!-- end of metrics -->"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", name)
	}
	table := "| metric | type | meaning |\n|---|---|---|\n"
	for _, f := range families {
		metric, kind, _ := strings.Cut(f, " ")
		_, help, _ := strings.Cut(text, "# HELP "+metric+" ")
		help, _, _ = strings.Cut(help, "\n")
		table += "| `" + metric + "` | " + kind + " | " + help + " |\n"
	}
	golden(t, name, before+start+table+end+after)
}
