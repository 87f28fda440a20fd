package main

import (
	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// startWeb serves the Web UI in the background and returns what stops it. If it
// cannot listen it ends the process itself; checkPorts has looked before.
func startWeb(o options) (stop func()) {
	ui := uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		Host:                o.uiIP,
		Port:                o.uiPort,
		TemporalGRPCAddress: hostPort(o.dialIP(), o.port),
		DefaultNamespace:    o.namespaces[0],
		EnableUI:            true,
		// Plain HTTP on loopback: without it the UI's forms are refused.
		CORS: uiconfig.CORS{CookieInsecure: true},
		// No request leaves this machine.
		DisableNewsFetch: true,
		HideLogs:         true,
	}))
	go func() { _ = ui.Start() }()
	return ui.Stop
}
