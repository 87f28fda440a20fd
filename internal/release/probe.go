package release

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Seen is what clients of a region are served.
type Seen struct {
	Serves int64     // the lowest generation over all front ends, 0 if one did not answer
	At     time.Time // when the probe began
	Error  string    // why Serves is 0
}

const probeTimeout = 10 * time.Second

var prober = &http.Client{Timeout: probeTimeout, Transport: span.Transport(fetch.Proxied(&http.Transport{
	TLSHandshakeTimeout: probeTimeout, DisableKeepAlives: true}))}

// Probe reads generation.json of a mirror through every URL, past all caches.
// A front end that does not answer, or that serves another tree, makes the
// answer 0: nobody knows what its clients see.
func Probe(ctx context.Context, urls []string, mirror, treeID string) Seen {
	seen := Seen{At: time.Now()}
	if len(urls) == 0 {
		seen.Error = "release: probe " + mirror + ": the region has no URL to probe"
		return seen
	}
	type answer struct {
		n   int64
		err error
	}
	answers := make(chan answer, len(urls))
	for _, u := range urls {
		go func() {
			n, err := probeOne(ctx, u, mirror, treeID)
			answers <- answer{n, err}
		}()
	}
	var all []error
	for range urls {
		a := <-answers
		all = append(all, a.err)
		if seen.Serves == 0 || a.n < seen.Serves {
			seen.Serves = a.n
		}
	}
	if err := errors.Join(all...); err != nil {
		seen.Serves, seen.Error = 0, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return seen
}

// ProbeRegion probes a region's front ends, or reads its directory if it has none.
func ProbeRegion(ctx context.Context, r mirrorspec.Region, mirror, treeID string) Seen {
	if len(r.Probe) > 0 || r.Dir == "" {
		return Probe(ctx, r.Probe, mirror, treeID)
	}
	seen := Seen{At: time.Now()}
	s, err := dir.Served(r.Dir, mirror)
	if err == nil {
		err = belongs(s, r.Dir, mirror, treeID)
	}
	if err != nil {
		seen.Error = fmt.Sprintf("release: probe %s: %v", r.Name, err)
		return seen
	}
	seen.Serves = s.Number
	return seen
}

func probeOne(ctx context.Context, base, mirror, treeID string) (int64, error) {
	name := strings.TrimSuffix(base, "/") + "/" + mirror + "/" + tree.ServedPath
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name+"?probe="+rand.Text(), nil)
	if err != nil {
		return 0, fmt.Errorf("release: probe %s: %w", name, err)
	}
	req.Header.Set("Cache-Control", "no-store, no-cache")
	req.Header.Set("Pragma", "no-cache")
	resp, err := prober.Do(req)
	if err != nil {
		var sent *url.Error
		if errors.As(err, &sent) {
			err = sent.Err // without the URL that no cache knows
		}
		return 0, fmt.Errorf("release: probe %s: %w", name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("release: probe %s: %s", name, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return 0, fmt.Errorf("release: probe %s: %w", name, err)
	}
	s, err := tree.ParseServed(data, name)
	if err == nil {
		err = belongs(s, name, mirror, treeID)
	}
	if err != nil {
		return 0, err
	}
	return s.Number, nil
}

func belongs(s tree.Served, subject, mirror, treeID string) error {
	if s.Tree == treeID && s.Mirror == mirror {
		return nil
	}
	return fmt.Errorf("release: probe %s: it serves tree %s of mirror %s, not %s of %s", subject, s.Tree, s.Mirror, treeID, mirror)
}
