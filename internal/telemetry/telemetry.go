// Package telemetry sends traces and metrics where OpenTelemetry's variables say, and puts the trace into logs.
//
// Nothing is sent, listened for or counted until one of these is set (see
// docs/telemetry.md): OTEL_EXPORTER_OTLP_ENDPOINT and its forms for traces and
// metrics, OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, or an address to be
// scraped at. Unlike OpenTelemetry's own default, silence means no exporter.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"mirrorcycle/internal/fault"
)

// Options describe a process.
type Options struct {
	Service string // service.name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise
	Metrics string // host:port to serve Prometheus on; "" is none, unless OTEL_METRICS_EXPORTER says so
	// Ended is told why the scraped address stopped being served; nil is nobody.
	Ended func(error)
}

// Telemetry is what a process sends. Its zero value sends nothing.
type Telemetry struct {
	Tracing  bool   // spans are sent
	Metering bool   // metrics are sent, or served
	Address  string // that Prometheus can scrape; "" for none

	stops []func(context.Context) error
}

// Start sets the global providers that o and the environment ask for. An
// exporter that is not known is fault.Config; one that does not answer is not
// an error, now or later: telemetry never stops a mirror.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	t := new(Telemetry)
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return t, nil
	}
	traces, err := chosen("traces", "")
	if err != nil {
		return t, err
	}
	metrics, err := chosen("metrics", o.Metrics)
	if err != nil || len(traces)+len(metrics) == 0 {
		return t, err
	}
	otel.SetLogger(logr.FromSlogHandler(bare{slog.Default().Handler()}))
	res, err := described(ctx, o.Service)
	if err == nil {
		err = t.trace(ctx, res, traces)
	}
	if err == nil {
		err = t.meter(ctx, res, metrics, o)
	}
	if err != nil {
		return t, errors.Join(err, t.Stop(ctx))
	}
	return t, nil
}

// Stop sends what is left, for at most five seconds.
func (t *Telemetry) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var all []error
	for _, stop := range t.stops {
		all = append(all, stop(ctx))
	}
	t.stops = nil
	return errors.Join(all...)
}

// described names the process. The instance is by host and process, so that
// workers on one host are told apart.
func described(ctx context.Context, service string) (*resource.Resource, error) {
	host, _ := os.Hostname()
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.namespace", "mirrorcycle"),
			attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid()))),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, config("OTEL_RESOURCE_ATTRIBUTES", err)
	}
	return res, nil
}

func (t *Telemetry) trace(ctx context.Context, res *resource.Resource, exporters []string) error {
	if len(exporters) == 0 {
		return nil
	}
	exporter, err := otlpTraces(ctx)
	if err != nil {
		return config("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", err)
	}
	p := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(res), trace.WithIDGenerator(new(ids)))
	otel.SetTracerProvider(p)
	t.Tracing = true
	t.stops = append(t.stops, p.Shutdown)
	return nil
}

func (t *Telemetry) meter(ctx context.Context, res *resource.Resource, exporters []string, o Options) error {
	if len(exporters) == 0 {
		return nil
	}
	options := []metric.Option{metric.WithResource(res), metric.WithView(latencies)}
	for _, name := range exporters {
		var reader metric.Reader
		var err error
		if name == prometheusExporter {
			reader, err = t.prometheus(address(o.Metrics), o.Ended)
		} else {
			reader, err = otlpMetrics(ctx)
		}
		if err != nil {
			return err
		}
		options = append(options, metric.WithReader(reader))
	}
	p := metric.NewMeterProvider(options...)
	otel.SetMeterProvider(p)
	t.Metering = true
	t.stops = append(t.stops, p.Shutdown)
	return observe()
}

// latencies gives the SDK's own, which are in seconds, buckets of seconds; the default is made for milliseconds.
var latencies = metric.NewView(metric.Instrument{Name: "temporal_*", Kind: metric.InstrumentKindHistogram},
	metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: []float64{.005, .01, .05, .1, .5, 1, 5, 10, 60, 300, 3600, 21600}}})

// The exporters.
const (
	otlpExporter       = "otlp"
	prometheusExporter = "prometheus"
)

// chosen returns the exporters of a signal: those that OTEL_<SIGNAL>_EXPORTER
// lists, else OTLP if an endpoint is set; and Prometheus if it has an address.
func chosen(signal, scraped string) ([]string, error) {
	upper := strings.ToUpper(signal)
	variable := "OTEL_" + upper + "_EXPORTER"
	list := os.Getenv(variable)
	if list == "" && (os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+upper+"_ENDPOINT") != "") {
		list = otlpExporter
	}
	if scraped != "" {
		list += "," + prometheusExporter
	}
	var out []string
	seen := map[string]bool{"": true, "none": true}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if known := name == otlpExporter || name == prometheusExporter && signal == "metrics"; !known && !seen[name] {
			return nil, config(variable, fmt.Errorf("there is no exporter %q", name))
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out, nil
}

// address is where Prometheus scrapes, on loopback unless told otherwise.
func address(given string) string {
	if given != "" {
		return given
	}
	host, port := os.Getenv("OTEL_EXPORTER_PROMETHEUS_HOST"), os.Getenv("OTEL_EXPORTER_PROMETHEUS_PORT")
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "9464"
	}
	return net.JoinHostPort(host, port)
}

func config(variable string, err error) error {
	return &fault.Error{Kind: fault.Config, Op: "telemetry: read", Subject: variable, Err: err,
		Advice: "write otlp or none, prometheus for metrics; grpc or http/protobuf for protocols"}
}
