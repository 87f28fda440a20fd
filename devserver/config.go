package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
	// clusterID stands in every SQLite file: another one would be refused as a
	// foreign cluster's.
	clusterID = "3f1c9a52-0000-4000-8000-000000000001"
)

// openStore makes the SQLite file, its schema and its namespaces if they are missing.
func openStore(o options) (*config.SQL, error) {
	store := &config.SQL{PluginName: sqliteplugin.PluginName}
	if o.dbFile == "" {
		store.DatabaseName = fmt.Sprintf("temporal-dev-%d", os.Getpid())
		store.ConnectAttributes = map[string]string{"mode": "memory", "cache": "shared"}
	} else {
		if err := os.MkdirAll(filepath.Dir(o.dbFile), 0o755); err != nil {
			return nil, fmt.Errorf("create directory of SQLite file: %w", err)
		}
		store.DatabaseName = o.dbFile
		// "setup" makes the schema on the first connection, later it is there already.
		store.ConnectAttributes = map[string]string{"mode": "rwc", "setup": "true"}
		maps.Copy(store.ConnectAttributes, o.pragmas)
	}
	for _, name := range o.namespaces {
		ns, err := sqliteschema.NewNamespaceConfig(clusterName, name, false, o.attributes)
		if err != nil {
			return nil, fmt.Errorf("namespace %s: %w", name, err)
		}
		if err := sqliteschema.CreateNamespaces(store, ns); err != nil {
			return nil, fmt.Errorf("open SQLite store %s: %w", store.DatabaseName, err)
		}
	}
	return store, nil
}

// serverConfig describes one server of four services; only the frontend leaves loopback.
func serverConfig(o options, store *config.SQL) (*config.Config, error) {
	services, err := services(o)
	if err != nil {
		return nil, err
	}
	frontend := hostPort(o.dialIP(), o.port)
	cfg := &config.Config{
		Services: services,
		Persistence: config.Persistence{
			DefaultStore: "sqlite", VisibilityStore: "sqlite", NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{"sqlite": {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
				Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend, ClusterID: clusterID,
			}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback}
	cfg.Archival.History.State, cfg.Archival.Visibility.State = "disabled", "disabled"
	cfg.NamespaceDefaults.Archival.History.State = "disabled"
	cfg.NamespaceDefaults.Archival.Visibility.State = "disabled"
	if o.metricsPort > 0 {
		cfg.Global.Metrics = &metrics.Config{Prometheus: &metrics.PrometheusConfig{
			ListenAddress: hostPort(o.ip, o.metricsPort), HandlerPath: "/metrics",
		}}
	}
	return cfg, nil
}

func services(o options) (map[string]config.Service, error) {
	inner := []primitives.ServiceName{
		primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	}
	ports, err := freePorts(len(inner))
	if err != nil {
		return nil, err
	}
	all := map[string]config.Service{string(primitives.FrontendService): {
		RPC: config.RPC{GRPCPort: o.port, HTTPPort: o.httpPort, BindOnIP: o.ip},
	}}
	for i, name := range inner {
		all[string(name)] = config.Service{RPC: config.RPC{GRPCPort: ports[i], BindOnIP: loopback}}
	}
	return all, nil
}

// freePorts returns n different free ports; all are held until the last is found.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, lerr := net.Listen("tcp", loopback+":0")
		if lerr != nil {
			return nil, errors.Join(err, fmt.Errorf("find a free port: %w", lerr))
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
