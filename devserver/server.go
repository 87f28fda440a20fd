package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/user"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

// readyWithin bounds the start: an embedded server is ready in about a second.
const readyWithin = time.Minute

// serve runs the server and its Web UI until ctx ends, then stops them in the
// reverse order. It prints one line to out when clients can come.
func serve(ctx context.Context, o options, out io.Writer) (err error) {
	begin := time.Now()
	if _, err := user.Current(); err != nil { // the server would end with a page about its own assembly
		return fmt.Errorf("find the user that runs this: %w; give it an entry in /etc/passwd", err)
	}
	if err := checkPorts(o); err != nil {
		return err
	}
	store, err := openStore(o)
	if err != nil {
		return err
	}
	cfg, err := serverConfig(o, store)
	if err != nil {
		return err
	}
	srv, err := newServer(o, cfg)
	if err != nil {
		return fmt.Errorf("assemble server: %w", err)
	}
	if err := srv.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer func() {
		if stopErr := srv.Stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stop server: %w", stopErr))
		}
	}()
	if !o.headless {
		defer startWeb(o)()
	}
	if err := awaitReady(ctx, o); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while starting
		}
		return err
	}
	fmt.Fprintln(out, readyLine(o, time.Since(begin)))
	<-ctx.Done()
	return nil
}

// newServer assembles the four services of one Temporal server.
func newServer(o options, cfg *config.Config) (temporal.Server, error) {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range cfg.Services {
		ip := loopback
		if name == string(primitives.FrontendService) {
			ip = o.dialIP()
		}
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(hostPort(ip, service.RPC.GRPCPort))
	}
	return temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(newLogger(o)),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
		temporal.WithDynamicConfigClient(o.dynamic),
	)
}

func newLogger(o options) tlog.Logger {
	if o.logLevel == "never" {
		return tlog.NewNoopLogger()
	}
	format := "console"
	if o.logFormat == "json" {
		format = "json"
	}
	return tlog.NewZapLogger(tlog.BuildZapLogger(tlog.Config{Level: o.logLevel, Format: format}))
}

// awaitReady returns once every namespace answers and knows its search attributes.
func awaitReady(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for _, namespace := range o.namespaces {
		c, err := client.DialContext(ctx, client.Options{
			HostPort:  hostPort(o.dialIP(), o.port),
			Namespace: namespace,
			Logger:    slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return fmt.Errorf("wait for server: %w", err)
		}
		err = addAttributes(ctx, c, namespace, o.attributes)
		c.Close()
		if err != nil {
			return fmt.Errorf("register search attributes in namespace %s: %w", namespace, err)
		}
	}
	return nil
}

// addAttributes registers what is missing: a namespace of an existing file was
// created with the attributes of that day.
func addAttributes(ctx context.Context, c client.Client, namespace string, want map[string]enumspb.IndexedValueType) error {
	if len(want) == 0 {
		return nil
	}
	known, err := c.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, typ := range want {
		have, ok := known.GetCustomAttributes()[name]
		if ok && have != typ {
			return fmt.Errorf("%s is registered as %s, not %s; use another SQLite file", name, have, typ)
		}
		if !ok {
			missing[name] = typ
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	return err
}

func readyLine(o options, took time.Duration) string {
	ui, db := "none", "memory"
	if !o.headless {
		ui = "http://" + hostPort(o.uiIP, o.uiPort)
	}
	if o.dbFile != "" {
		db = o.dbFile
	}
	return fmt.Sprintf("temporal ready in %v: grpc %s, ui %s, db %s",
		took.Round(time.Millisecond), hostPort(o.ip, o.port), ui, db)
}

// checkPorts refuses ports that are taken: the server itself would exit with a
// stack trace, or let two servers answer in turn.
func checkPorts(o options) error {
	want := []string{hostPort(o.ip, o.port)}
	if o.httpPort > 0 {
		want = append(want, hostPort(o.ip, o.httpPort))
	}
	if o.metricsPort > 0 {
		want = append(want, hostPort(o.ip, o.metricsPort))
	}
	if !o.headless {
		want = append(want, hostPort(o.uiIP, o.uiPort))
	}
	for _, address := range want {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%w; choose another port", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func hostPort(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }
