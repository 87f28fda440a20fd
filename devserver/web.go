package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/labstack/echo/v4"
	uiserver "github.com/temporalio/ui-server/v2/server"
	uiapi "github.com/temporalio/ui-server/v2/server/api"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// startWeb serves the Web UI in the background and returns what stops it. If it
// cannot listen it ends the process itself; checkPorts has looked before.
func startWeb(o options) (stop func()) {
	ui := uiserver.NewServer(uioptions.WithAPIMiddleware([]uiapi.Middleware{ownNames(o.uiIP)}), uioptions.WithConfigProvider(&uiconfig.Config{
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

// ownNames refuses, on loopback, requests under any other name than this
// machine's own: a page of a stranger whose name leads to 127.0.0.1 would
// otherwise start workflows from the browser of whoever looks at it.
func ownNames(ip string) uiapi.Middleware {
	a, err := netip.ParseAddr(ip)
	open := err != nil || !a.IsLoopback() // then it has whatever names its network gives it
	return func(echo.Context) runtime.ServeMuxOption {
		return runtime.WithMiddlewares(func(next runtime.HandlerFunc) runtime.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
				if !open && !ownName(r.Host) {
					http.Error(w, "this Web UI answers as localhost only", http.StatusForbidden)
					return
				}
				next(w, r, params)
			}
		})
	}
}

// ownName reports whether a Host is an address, which no stranger's name can be,
// or localhost.
func ownName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}
