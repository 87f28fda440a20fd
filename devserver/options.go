package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/dynamicconfig"
)

// options is what the flags of start-dev say.
type options struct {
	dbFile      string // SQLite file; empty keeps everything in memory
	ip          string // where the frontend and metrics listen
	port        int    // gRPC
	httpPort    int    // HTTP API; 0 for none
	uiIP        string // where the Web UI listens; defaults to ip
	uiPort      int    // defaults to port+1000
	headless    bool   // no Web UI
	metricsPort int    // Prometheus; 0 for none
	namespaces  []string
	logLevel    string
	logFormat   string

	pragmas    map[string]string
	dynamic    dynamicconfig.StaticClient
	attributes map[string]enumspb.IndexedValueType
}

// parseOptions reads the flags. Errors are mistakes of the caller; -h gives flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{
		// WAL with full sync survives kill -9 under load without losing an
		// acknowledged workflow.
		pragmas: map[string]string{"journal_mode": "wal", "synchronous": "full", "busy_timeout": "10000"},
		dynamic: dynamicconfig.StaticClient{
			dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key():      true,
			dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 100,
			// A shard hands new tasks over 20 times a second at most. A cluster has
			// hundreds of shards; here every step of a workflow would wait for the one.
			dynamicconfig.TransferProcessorMaxPollRPS.Key():   1000,
			dynamicconfig.TimerProcessorMaxPollRPS.Key():      1000,
			dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): 1000,
		},
		attributes: map[string]enumspb.IndexedValueType{},
	}
	fs := o.flags(out)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	return o, o.complete()
}

// flags declares the flags of start-dev that make sense for one embedded server.
func (o *options) flags(out io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("temporal-dev server start-dev", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.dbFile, "db-filename", "", "SQLite `file`; empty keeps everything in memory")
	fs.StringVar(&o.dbFile, "f", "", "same as -db-filename")
	fs.StringVar(&o.ip, "ip", "127.0.0.1", "`address` of the frontend")
	fs.IntVar(&o.port, "port", 7233, "gRPC `port`")
	fs.IntVar(&o.port, "p", 7233, "same as -port")
	fs.IntVar(&o.httpPort, "http-port", 0, "HTTP API `port`, 0 for none")
	fs.StringVar(&o.uiIP, "ui-ip", "", "`address` of the Web UI (default: that of -ip)")
	fs.IntVar(&o.uiPort, "ui-port", 0, "Web UI `port` (default: gRPC port + 1000)")
	fs.BoolVar(&o.headless, "headless", false, "run without Web UI")
	fs.IntVar(&o.metricsPort, "metrics-port", 0, "Prometheus `port`, 0 for none")
	fs.StringVar(&o.logLevel, "log-level", "error", "debug, info, warn, error or never")
	fs.StringVar(&o.logFormat, "log-format", "json", "json, text or pretty")
	namespace := func(name string) error {
		o.namespaces = append(o.namespaces, name)
		return nil
	}
	fs.Func("namespace", "`name` of a namespace to create besides default, repeatable", namespace)
	fs.Func("n", "same as -namespace", namespace)
	fs.Func("sqlite-pragma", "`NAME=VALUE` for every SQLite connection, repeatable", o.addPragma)
	fs.Func("dynamic-config-value", "`KEY=JSON`, repeatable", o.addDynamic)
	fs.Func("search-attribute", "`NAME=Type` to register, repeatable", o.addAttribute)
	return fs
}

func (o *options) addPragma(v string) error {
	name, value, ok := strings.Cut(v, "=")
	if !ok || name == "" {
		return fmt.Errorf("write NAME=VALUE")
	}
	o.pragmas[name] = value
	return nil
}

func (o *options) addDynamic(v string) error {
	key, raw, ok := strings.Cut(v, "=")
	if !ok || key == "" {
		return fmt.Errorf("write KEY=JSON")
	}
	var value any
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return fmt.Errorf("value of %s is not JSON: %w", key, err)
	}
	// JSON knows no integers, but most of the server's settings are integers.
	if f, ok := value.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		value = int(f)
	}
	o.dynamic[dynamicconfig.MakeKey(key)] = value
	return nil
}

func (o *options) addAttribute(v string) error {
	name, typ, ok := strings.Cut(v, "=")
	if !ok || name == "" {
		return fmt.Errorf("write NAME=Type")
	}
	t, err := enumspb.IndexedValueTypeFromString(typ)
	if err != nil || t == enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED {
		return fmt.Errorf("unknown type %q of search attribute %s", typ, name)
	}
	o.attributes[name] = t
	return nil
}

// complete fills in the defaults that depend on other flags and checks the rest.
func (o *options) complete() error {
	addr, err := net.ResolveIPAddr("ip", o.ip)
	if err != nil {
		return fmt.Errorf("-ip: %w", err)
	}
	o.ip = addr.String()
	if o.uiIP == "" {
		o.uiIP = o.ip
	}
	if o.uiPort == 0 {
		o.uiPort = o.port + 1000
	}
	if !slices.Contains(o.namespaces, "default") {
		o.namespaces = append([]string{"default"}, o.namespaces...)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error", "never"}, o.logLevel) {
		return fmt.Errorf("-log-level: unknown level %q", o.logLevel)
	}
	if !slices.Contains([]string{"json", "text", "pretty"}, o.logFormat) {
		return fmt.Errorf("-log-format: unknown format %q", o.logFormat)
	}
	return nil
}

// dialIP is an address under which this host reaches its own frontend.
func (o options) dialIP() string {
	if ip := net.ParseIP(o.ip); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return o.ip
}
