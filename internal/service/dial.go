package service

import (
	"context"
	"errors"
	"strings"

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

// Dial connects to Temporal. Values cross as Converter says.
func Dial(ctx context.Context, o client.Options) (client.Client, error) {
	if err := convert(&o); err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, o)
	if err != nil {
		return nil, Unreachable(o, err)
	}
	return c, nil
}

// Unreachable says that Temporal cannot be reached, and no secret: neither one
// that stands in the address by mistake, nor what a proxy answered, which may
// repeat its login.
func Unreachable(o client.Options, err error) error {
	if strings.Contains(o.HostPort, "@") {
		return &fault.Error{Kind: fault.Config, Op: "temporal: connect", Err: errors.New("the address holds a login"),
			Advice: "write host:port into TEMPORAL_ADDRESS, and secrets into variables of their own"}
	}
	if before, _, found := strings.Cut(err.Error(), "failed to do connect handshake"); found {
		err = errors.New(before + "the proxy of HTTPS_PROXY does not connect")
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "temporal: connect to", Subject: o.HostPort, Err: err,
		Advice: "set TEMPORAL_ADDRESS, or use starter up for an embedded server"}
}
