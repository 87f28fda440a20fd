package mirror

import (
	"reflect"
	"strings"
	"sync"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/mirrorspec"
)

// client is what the mirror downloads with.
func (m *Mirror) client() (*fetch.Client, error) { return m.host.clients.of(m.Target, m.run.Internal) }

// clients keeps one download client per set of limits and credentials, so that
// several activities of a worker share its limits.
type clients struct {
	mu  sync.Mutex
	all map[clientKey]*fetch.Client
}

type clientKey struct {
	limits                     mirrorspec.Limits
	netrc, cert, key, rootFile string
}

func (c *clients) of(t Target, internal []string) (*fetch.Client, error) {
	m := t.Mirror
	k := clientKey{t.Limits, m.Netrc, m.ClientCert, m.ClientKey, m.CAFile}
	c.mu.Lock()
	defer c.mu.Unlock()
	client, err := c.with(k, internal)
	if err != nil {
		return nil, err
	}
	return client, client.Own(urls(m)...)
}

// urls are all that a mirror's part of the spec names: upstreams, and where its
// requirements are.
func urls(m mirrorspec.Mirror) (out []string) {
	for _, field := range reflect.ValueOf(m).Fields() {
		all := []string{}
		switch v := field.Interface().(type) {
		case string:
			all = append(all, v)
		case []string:
			all = v
		}
		for _, text := range all {
			if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
				out = append(out, text)
			}
		}
	}
	return out
}

func (c *clients) with(k clientKey, internal []string) (*fetch.Client, error) {
	if have := c.all[k]; have != nil {
		return have, nil
	}
	made, err := fetch.New(fetch.Options{Downloads: k.limits.Downloads, PerHost: k.limits.PerHost, Rate: int64(k.limits.Rate),
		Netrc: k.netrc, ClientCert: k.cert, ClientKey: k.key, RootCAs: k.rootFile, Internal: internal})
	if err != nil {
		return nil, err
	}
	if c.all == nil {
		c.all = map[clientKey]*fetch.Client{}
	}
	c.all[k] = made
	return made, nil
}
