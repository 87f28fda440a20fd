package service

import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"mirrorcycle/internal/fault"
)

// local is where a server on this machine listens. It is a number, because a
// machine that was just made may not know the name localhost.
const local = "127.0.0.1:7233"

// ClientOptions are what Temporal's own tools take: TEMPORAL_* variables and
// profiles. Without an address the server is on this machine. Errors are fault.Config.
func ClientOptions() (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return o, &fault.Error{Kind: fault.Config, Op: "temporal: read configuration", Err: err, Advice: "check the TEMPORAL_* variables and the profile"}
	}
	if o.HostPort == "" {
		o.HostPort = local
	}
	return o, nil
}
