package fetch

import (
	"context"
	"net/http"
	"net/url"
)

// Proxied gives a transport the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
// One that refuses to connect is told of by its status alone: net/http would
// quote the rest of the status line, and the proxy may repeat its login there.
func Proxied(t *http.Transport) *http.Transport {
	t.Proxy = http.ProxyFromEnvironment
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		return proxyRefusal(answer.StatusCode)
	}
	return t
}

// proxyRefusal is the status with which a proxy refused to connect.
type proxyRefusal int

func (r proxyRefusal) Error() string { return "the proxy answers " + statusText(int(r)) }
