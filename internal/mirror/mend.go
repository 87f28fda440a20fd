package mirror

import (
	"context"
	"strings"
	"time"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/mirrorspec"
)

// mendTime is how long one step mends. What is left is damaged in the next
// cycle, too, and mended then.
const mendTime = 10 * time.Minute

// mend brings damaged files back from where their bytes still are. What it
// cannot bring back stays in the report of who found it, so that is only logged.
func (m *Mirror) mend(ctx context.Context, regions []mirrorspec.Region, damaged []manifest.Entry) ([]string, error) {
	engine, err := m.engine()
	if err != nil {
		return nil, err
	}
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	from := transfer.Sources{Client: client, Upstream: func(ctx context.Context, e manifest.Entry) (fetch.Request, bool, error) {
		return engine.Source(ctx, m.t, e)
	}}
	for _, r := range regions {
		if r.URL != "" {
			from.Copies = append(from.Copies, strings.TrimSuffix(r.URL, "/")+"/"+m.Mirror.Name)
		}
	}
	limited, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	mended, err := transfer.Mend(limited, m.t, damaged, from)
	for _, p := range mended {
		m.run.Log.Warn("a damaged file was brought back: look at the disk", "mirror", m.Mirror.Name, "path", p)
	}
	if err != nil {
		m.run.Log.Error("damaged files stay", "mirror", m.Mirror.Name, "error", err)
	}
	return mended, ctx.Err()
}
