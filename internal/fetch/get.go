package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mirrorcycle/internal/fault"
)

// enoughProgress is how many new bytes make a round count as progress, so that a
// large file over a bad line is not given up.
const enoughProgress = 1 << 20

// Get downloads a file into sink and proves it. It tries the upstreams in order,
// those that do not answer last, and repeats the round, with pauses between, for
// those whose failure may pass; a broken download goes on where it stopped.
// A wrong size or digest, a refusal and an absence are not repeated at the same
// upstream.
func (c *Client) Get(ctx context.Context, req Request, sink Sink) (Result, error) {
	targets, err := req.targets()
	if err != nil {
		kind := fault.KindOf(err)
		if kind == "" {
			kind = fault.Config
		}
		return Result{}, &fault.Error{Kind: kind, Op: "fetch: get", Subject: requestName(req), Err: err}
	}
	if len(req.Upstreams) > 0 { // the spec names them
		for _, at := range targets {
			c.auth.reach.name(at.url)
		}
	}
	t := newTransfer(c, req, sink)
	last := make([]*failure, len(targets))
	pauses := c.opt.Backoff()
	for idle := 0; ; {
		before := t.high
		pause, live := time.Duration(0), false
		for _, i := range c.gate.order(targets, c.opt.Now()) {
			if last[i] != nil && !last[i].again {
				continue
			}
			res, f := t.attempt(ctx, targets[i])
			if f == nil {
				if len(req.Upstreams) > 0 {
					res.Upstream = req.Upstreams[i]
				}
				return res, nil
			}
			if f.final {
				return Result{}, finalError(targets[i], f)
			}
			last[i] = f
			if f.again {
				if !live || f.after < pause {
					pause = f.after
				}
				live = true
			}
		}
		if t.high-before >= enoughProgress {
			idle = 0
			pauses.Reset()
		} else {
			idle++
		}
		if !live || idle >= c.opt.Attempts {
			return Result{}, joinFailures(targets, last)
		}
		if err := c.pause(ctx, pause, pauses); err != nil {
			return Result{}, finalError(targets[0], &failure{err: err, final: true})
		}
	}
}

// pause waits as long as upstream asks, within reason, but no shorter than the policy.
func (c *Client) pause(ctx context.Context, asked time.Duration, policy backoff.BackOff) error {
	d := policy.NextBackOff()
	if d == backoff.Stop {
		d = 0
	}
	c.opt.Progress(0)
	return c.opt.Wait(ctx, max(d, min(asked, c.opt.MaxRetryAfter)))
}

// finalError is a failure on our side: cancelled, or the sink's.
func finalError(t target, f *failure) error {
	if f.kind == "" {
		return fmt.Errorf("fetch: get %s: %w", t.name, f.err)
	}
	var own *fault.Error
	if errors.As(f.err, &own) {
		return fmt.Errorf("fetch: get %s: %w", t.name, f.err)
	}
	return &fault.Error{Kind: f.kind, Op: "fetch: get", Subject: t.name, Err: f.err}
}

// requestName names a request that could not be turned into URLs.
func requestName(req Request) string {
	if u, err := parseURL(req.Path); err == nil {
		return display(u)
	}
	if len(req.Upstreams) > 0 {
		return req.Path
	}
	return ""
}
