package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
)

// window is how many shards are under way at once: enough for every worker of
// a storage, few enough that history stays small.
const window = 8

// drain is how long shards under way are waited for before a fetch goes on in
// a new run. Those that are cut off lose nothing that has landed.
const drain = 5 * time.Minute

// fetching is the state of a fetch.
type fetching struct {
	m       *refresh
	p       activities.Planned
	again   []int // shards that an earlier run cut off
	next    int   // the first shard that was not begun
	under   []int // shards under way
	failure error
	cut     bool // what fails now was cut off
}

// fetch brings every shard in, several at a time over all workers. It reports
// whether all are there.
func (m *refresh) fetch(ctx workflow.Context, p activities.Planned) bool {
	f := fetching{m: m, p: p}
	if g := m.in.Going; g != nil {
		f.again, f.next = slices.Clone(g.Again), g.Next
	}
	m.stage(ctx, "fetch")
	work, cut := workflow.WithCancel(m.work)
	for f.more(ctx) || len(f.under) > 0 {
		if f.more(ctx) && len(f.under) < window {
			f.start(work)
			continue
		}
		if full(ctx) && f.left() {
			break
		}
		_ = workflow.Await(ctx, func() bool {
			return len(f.under) == 0 || f.more(ctx) && len(f.under) < window || full(ctx) || m.work.Err() != nil || ctx.Err() != nil
		})
		if m.work.Err() != nil {
			break
		}
	}
	if full(ctx) && f.left() && f.failure == nil && m.work.Err() == nil {
		await(ctx, drain, "let the shards under way end", func() bool { return len(f.under) == 0 || f.failure != nil || m.work.Err() != nil })
	}
	f.cut = true
	cut()
	switch {
	case m.stopped():
		return false
	case m.failed(f.failure) || m.failed(m.work.Err()):
		return false
	case f.left():
		f.goOn()
		return false
	}
	return true
}

// full reports whether a run's history is long enough.
func full(ctx workflow.Context) bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }

// left reports whether shards are missing.
func (f *fetching) left() bool {
	return len(f.again) > 0 || f.next < f.p.Info.Shards || len(f.under) > 0
}

// more reports whether another shard may begin.
func (f *fetching) more(ctx workflow.Context) bool {
	return f.failure == nil && f.m.work.Err() == nil && !full(ctx) && (len(f.again) > 0 || f.next < f.p.Info.Shards)
}

func (f *fetching) start(ctx workflow.Context) {
	shard := f.next
	if len(f.again) > 0 {
		shard, f.again = f.again[0], f.again[1:]
	} else {
		f.next++
	}
	f.under = append(f.under, shard)
	t := f.m.in.Target
	workflow.Go(ctx, func(ctx workflow.Context) {
		out, err := fetchShard(ctx, FetchQueue(t.Storage.Name), fmt.Sprintf("shard %d of %d", shard+1, f.p.Info.Shards),
			activities.FetchInput{Target: t, Epoch: f.m.opened.Epoch, Plan: f.p.Digest, Shard: shard})
		switch {
		case f.cut:
			return
		case err != nil && f.failure == nil:
			f.failure = err
		}
		f.under = slices.DeleteFunc(f.under, func(n int) bool { return n == shard })
		f.m.fetched(out)
		f.m.show(ctx)
	})
}

// goOn hands the rest to the next run.
func (f *fetching) goOn() {
	in := f.m.in
	in.Going = &Going{Opened: f.m.opened, Planned: f.p, Again: slices.Concat(f.under, f.again), Next: f.next, Progress: f.m.progress, Result: f.m.result}
	f.m.again = &in
}

func (m *refresh) fetched(out activities.Fetched) {
	m.progress.DoneShards++
	m.progress.DoneObjects += out.Objects
	m.progress.DoneBytes += out.Bytes
	m.result.Downloaded += out.Downloaded
}
