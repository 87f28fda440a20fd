// Package otlptest receives OTLP, over HTTP and gRPC, for tests.
package otlptest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Receiver keeps what it was sent.
type Receiver struct {
	URL  string // for OTLP over HTTP
	GRPC string // for OTLP over gRPC, with scheme

	mu      sync.Mutex
	spans   []Span
	metrics map[string]*metrics.Metric
	more    chan struct{}
}

// Span is one span with the process that sent it.
type Span struct {
	*trace.Span
	Service, Instance string
}

// New starts a receiver that lasts as long as the test.
func New(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{metrics: map[string]*metrics.Metric{}, more: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		var in coltrace.ExportTraceServiceRequest
		take(w, req, &in, &coltrace.ExportTraceServiceResponse{}, func() { r.addSpans(&in) })
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, req *http.Request) {
		var in colmetrics.ExportMetricsServiceRequest
		take(w, req, &in, &colmetrics.ExportMetricsServiceResponse{}, func() { r.addMetrics(&in) })
	})
	s := httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	r.URL = s.URL
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(g, traceService{r: r})
	colmetrics.RegisterMetricsServiceServer(g, metricsService{r: r})
	go func() { _ = g.Serve(l) }() // ends with Stop
	tb.Cleanup(g.Stop)
	r.GRPC = "http://" + l.Addr().String()
	return r
}

func take(w http.ResponseWriter, req *http.Request, in, out proto.Message, f func()) {
	body := io.Reader(req.Body)
	var err error
	if req.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(req.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(data, in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f()
	answer, _ := proto.Marshal(out) // empty
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

type traceService struct {
	coltrace.UnimplementedTraceServiceServer
	r *Receiver
}

func (s traceService) Export(_ context.Context, in *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	s.r.addSpans(in)
	return &coltrace.ExportTraceServiceResponse{}, nil
}

type metricsService struct {
	colmetrics.UnimplementedMetricsServiceServer
	r *Receiver
}

func (s metricsService) Export(_ context.Context, in *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	s.r.addMetrics(in)
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

func (r *Receiver) addSpans(in *coltrace.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, res := range in.ResourceSpans {
		var from Span
		for _, a := range res.Resource.GetAttributes() {
			switch a.Key {
			case "service.name":
				from.Service = a.Value.GetStringValue()
			case "service.instance.id":
				from.Instance = a.Value.GetStringValue()
			}
		}
		for _, scope := range res.ScopeSpans {
			for _, s := range scope.Spans {
				from.Span = s
				r.spans = append(r.spans, from)
			}
		}
	}
	r.tell()
}

func (r *Receiver) addMetrics(in *colmetrics.ExportMetricsServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, res := range in.ResourceMetrics {
		for _, scope := range res.ScopeMetrics {
			for _, m := range scope.Metrics {
				r.metrics[m.Name] = m
			}
		}
	}
	r.tell()
}

func (r *Receiver) tell() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// Spans returns what came so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Metrics returns what came last of each metric.
func (r *Receiver) Metrics() map[string]*metrics.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]*metrics.Metric{}
	for name, m := range r.metrics {
		out[name] = m
	}
	return out
}

// Wait waits until ok, looking each time something comes.
func (r *Receiver) Wait(tb testing.TB, what string, ok func(*Receiver) bool) {
	tb.Helper()
	late := time.After(5 * time.Minute) // a hang, not a busy machine
	for !ok(r) {
		select {
		case <-r.more:
		case <-late:
			tb.Fatalf("%s did not come within five minutes", what)
		}
	}
}

// ID renders the ID of a span or a trace.
func ID(b []byte) string { return hex.EncodeToString(b) }

// Attribute returns an attribute of a span as text, "" if it has none.
func (s Span) Attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}
