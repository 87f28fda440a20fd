package activities

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/fault"
)

// pulse is what the next heartbeat of an activity says.
type pulse struct{ atomic.Pointer[Progress] }

// progress sets what the next heartbeat says.
func (p *pulse) progress(objects, bytes int64) { p.Store(&Progress{Objects: objects, Bytes: bytes}) }

// alive sends a heartbeat every second until stop, and ends the context when
// the worker shuts down, so that the next worker goes on at once.
func alive(ctx context.Context) (_ context.Context, p *pulse, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	p = new(pulse)
	p.progress(0, 0)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-activity.GetWorkerStopChannel(ctx):
				cancel(errStopping)
				return
			case <-tick.C:
				activity.RecordHeartbeat(ctx, *p.Load())
			}
		}
	}()
	return ctx, p, func() { cancel(nil) }
}

var errStopping = errors.New("the worker is stopping")

// maxSkew is how far this host's clock may be from the server's before nothing is deleted.
const maxSkew = 2 * time.Minute

// clock returns this host's time, if the server's agrees: the server stamps
// the start of each attempt.
func clock(ctx context.Context) (time.Time, error) {
	now := time.Now()
	if off := now.Sub(activity.GetInfo(ctx).StartedTime).Abs(); off > maxSkew {
		return now, &fault.Error{Kind: fault.Config, Op: "activities: reap",
			Err:    fmt.Errorf("this host's clock is %s away from the server's", off.Round(time.Second)),
			Advice: "set the clock; until then nothing is deleted"}
	}
	return now, nil
}
