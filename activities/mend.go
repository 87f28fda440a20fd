package activities

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// mendTime is how long one step mends. What is left is damaged in the next
// cycle, too, and mended then.
const mendTime = 10 * time.Minute

// mend brings damaged files back from where their bytes still are. What it
// cannot bring back stays in the report of who found it, so that is only logged.
func (s *Sync) mend(ctx context.Context, t *tree.Tree, target Target, regions []mirrorspec.Region, damaged []manifest.Entry) ([]string, error) {
	engine, err := s.engine(target)
	if err != nil {
		return nil, err
	}
	client, err := s.clients.of(target, s.Internal)
	if err != nil {
		return nil, err
	}
	from := transfer.Sources{Client: client, Upstream: func(ctx context.Context, e manifest.Entry) (fetch.Request, bool, error) {
		return engine.Source(ctx, t, e)
	}}
	for _, r := range regions {
		if r.URL != "" {
			from.Copies = append(from.Copies, strings.TrimSuffix(r.URL, "/")+"/"+target.Mirror.Name)
		}
	}
	limited, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	mended, err := transfer.Mend(limited, t, damaged, from)
	log := activity.GetLogger(ctx)
	for _, p := range mended {
		log.Warn("a damaged file was brought back: look at the disk", "mirror", target.Mirror.Name, "path", p)
	}
	if err != nil {
		log.Error("damaged files stay", "mirror", target.Mirror.Name, "error", err)
	}
	return mended, ctx.Err()
}
