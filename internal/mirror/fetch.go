package mirror

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"mirrorcycle/internal/transfer"
)

// Fetched counts what became of a shard.
type Fetched struct {
	Objects    int64 `json:"objects"`
	Bytes      int64 `json:"bytes"`      // of the objects
	Downloaded int64 `json:"downloaded"` // bytes that came from upstream now
	Failed     int64 `json:"failed"`
}

// Fetch brings one shard of a plan into the tree.
func (m *Mirror) Fetch(ctx context.Context, plan string, shard int) (out Fetched, err error) {
	client, err := m.client()
	if err != nil {
		return out, err
	}
	p, err := m.t.OpenPlan(plan)
	if err != nil {
		return out, err
	}
	// Other mirrors have been filling the same disk since the plan was made.
	if !p.IsDone(shard) {
		if err := m.precheck(ctx, p, shard, shard+1); err != nil {
			return out, err
		}
	}
	row, leave := m.host.seats.of(plan, m.Limits.Downloads)
	defer leave()
	ctx, end := m.begin(ctx, "fetch", attribute.Int("mirrorcycle.shard", shard))
	defer func() { end(err) }()
	results, err := transfer.Run(ctx, m.t, p, shard, transfer.Options{Client: client, Upstreams: m.Mirror.Upstream,
		Workers: m.Limits.Downloads, Seats: row, Progress: m.run.Progress})
	for _, r := range results {
		if !r.Derived {
			out.Objects++
			out.Bytes += r.Size
		}
		out.Downloaded += r.Bytes
		if r.Error != "" {
			out.Failed++
		}
	}
	m.countFetched(ctx, out)
	return out, err
}
