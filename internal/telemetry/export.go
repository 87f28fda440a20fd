package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"mirrorcycle/internal/fault"
)

// The exporters read endpoints, headers, certificates and timeouts from the
// environment themselves.

func otlpTraces(ctx context.Context) (trace.SpanExporter, error) {
	grpc, err := overGRPC("TRACES")
	switch {
	case err != nil:
		return nil, err
	case grpc:
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func otlpMetrics(ctx context.Context) (metric.Reader, error) {
	grpc, err := overGRPC("METRICS")
	if err != nil {
		return nil, config("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", err)
	}
	var exporter metric.Exporter
	if grpc {
		exporter, err = otlpmetricgrpc.New(ctx)
	} else {
		exporter, err = otlpmetrichttp.New(ctx)
	}
	if err != nil {
		return nil, config("OTEL_EXPORTER_OTLP_ENDPOINT", err)
	}
	return metric.NewPeriodicReader(exporter), nil
}

// overGRPC reads the protocol of a signal; OpenTelemetry's default is HTTP.
func overGRPC(signal string) (bool, error) {
	p := os.Getenv("OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL")
	if p == "" {
		p = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch p {
	case "", "http/protobuf":
		return false, nil
	case "grpc":
		return true, nil
	}
	return false, fmt.Errorf("there is no protocol %q", p)
}

// prometheus serves /metrics.
func (t *Telemetry) prometheus(address string, ended func(error)) (metric.Reader, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: serve metrics: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "telemetry: serve metrics", Subject: address, Err: err, Advice: "choose a free address with --metrics"}
	}
	t.Address = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && ended != nil {
			ended(err)
		}
	}()
	t.stops = append(t.stops, server.Shutdown)
	return exporter, nil
}
