package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// Regions holds the activities of the role release:<region>, and of sync:<storage>
// for regions that share the storage's file system.
type Regions struct {
	// Crash is handed to every backend; tests stop the process there.
	Crash func(point string)
}

// backendOf builds the backend of one mirror in one region.
func (r *Regions) backendOf(ctx context.Context, in RegionInput) (backend.Backend, error) {
	m, region := in.Target.Mirror, in.Region
	if region.AFS != nil {
		return r.sites(ctx, in.Target, []mirrorspec.Region{region}, in.Tree), nil
	}
	return release.For(release.Options{Region: region, Mirror: m.Name, Tree: in.Tree, Referring: in.Target.Referring, Crash: r.Crash,
		Policy: backend.Policy{Grace: time.Duration(m.Grace) + time.Duration(region.IndexMaxAge),
			Keep: time.Duration(region.Keep), Every: in.Target.Period()},
		Holder: holder(ctx)})
}

// sites builds the backend of a mirror's AFS volume.
func (r *Regions) sites(ctx context.Context, t Target, regions []mirrorspec.Region, treeID string) backend.Backend {
	v := t.Volume(regions, treeID)
	v.Holder, v.Crash = holder(ctx), r.Crash
	return release.Sites(v)
}

// Publish makes the newest sealed generation visible in the region.
func (r *Regions) Publish(ctx context.Context, in RegionInput) (Outcome, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	src, done, err := release.From(release.Origin{Region: in.Region, Storage: in.Target.Storage, Mirror: in.Target.Mirror.Name})
	if err != nil {
		return Outcome{}, translate(err)
	}
	defer done()
	b, err := r.backendOf(ctx, in)
	if err != nil {
		return Outcome{}, translate(err)
	}
	start := time.Now()
	ctx, end := mirror.Begin(ctx, "publish", in.Target.Mirror, span.Region.String(in.Region.Name))
	outcomes, err := b.Publish(ctx, src)
	end(err)
	mirror.CountPublished(ctx, in.Target.Mirror, start, outcomes...)
	if err != nil || len(outcomes) == 0 {
		return Outcome{Region: in.Region.Name}, translate(err)
	}
	return outcomes[0], nil
}

// PublishGroup makes the newest sealed generation visible at all sites of the
// mirror's AFS volume, with an outcome for each region and each further site.
func (r *Regions) PublishGroup(ctx context.Context, in GroupInput) ([]Outcome, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	_, skewed := clock(ctx) // now: a release may take hours, and the server stamped the start
	src, done, err := release.From(release.Origin{Storage: in.Target.Storage, Mirror: in.Target.Mirror.Name})
	if err != nil {
		return nil, translate(err)
	}
	defer done()
	if err := r.preceded(ctx, in, src); err != nil {
		return nil, translate(err)
	}
	v := in.Target.Volume(in.Regions, in.Tree)
	v.Holder, v.Crash, v.Unchecked = holder(ctx), r.Crash, skewed != nil
	start := time.Now()
	ctx, end := mirror.Begin(ctx, "publish", in.Target.Mirror)
	outcomes, err := release.Sites(v).Publish(ctx, src)
	end(err)
	mirror.CountPublished(ctx, in.Target.Mirror, start, outcomes...)
	return outcomes, translate(err)
}

// preceded refuses to release a volume of pages before every site of the index
// mirror's volume that answers has the files that they name. What its tree holds of them stays
// while a generation of the pages refers to it, so a later generation has them too.
func (r *Regions) preceded(ctx context.Context, in GroupInput, src backend.Source) error {
	if in.Target.Index == nil {
		return nil
	}
	g, err := src.Sealed(ctx)
	if err != nil || g == nil {
		return err
	}
	need, err := wheels.Needs(g)
	if err != nil {
		return err
	}
	index := in.Target
	index.Mirror, index.Index = *in.Target.Index, nil
	id, err := tree.Read(index.Tree())
	if err != nil {
		return err
	}
	defer id.Close()
	sites, err := release.Sites(index.Volume(in.Regions, id.ID().Tree)).Serving(ctx)
	if err != nil {
		return err
	}
	if s := release.Lacking(sites, need); s != nil {
		return &fault.Error{Kind: fault.Early, Op: "activities: release", Subject: in.Target.Mirror.Name,
			Err:    fmt.Errorf("its pages name files of generation %d of %s, of which %s serves %d", need, index.Mirror.Name, s.Region, s.Serves),
			Advice: "nothing to do: it is released when the sites have that generation"}
	}
	return nil
}

// Probe reads generation.json through every front end of the region until all
// of them serve in.Number, or the attempt's time is up.
func (r *Regions) Probe(ctx context.Context, in RegionInput) (Probed, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	ctx, end := mirror.Begin(ctx, "probe", in.Target.Mirror, span.Region.String(in.Region.Name))
	defer end(nil)
	wait := 50 * time.Millisecond
	deadline := activity.GetInfo(ctx).Deadline.Add(-2 * time.Second)
	for {
		seen := release.ProbeRegion(ctx, in.Region, in.Target.Mirror.Name, in.Tree)
		if seen.Serves >= in.Number || time.Now().Add(wait).After(deadline) {
			return Probed{Serves: seen.Serves, At: seen.At, Error: seen.Error}, nil
		}
		select {
		case <-ctx.Done():
			return Probed{}, translate(context.Cause(ctx))
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// Confirm records that a probe saw the region serve generation in.Number.
func (r *Regions) Confirm(ctx context.Context, in RegionInput) error {
	if _, err := clock(ctx); err != nil {
		return translate(err)
	}
	b, err := r.backendOf(ctx, in)
	if err != nil {
		return translate(err)
	}
	return translate(b.Confirm(ctx, in.Region.Name, in.Number))
}

// Reap deletes what promise 1 allows in the region.
func (r *Regions) Reap(ctx context.Context, in RegionInput) (Reaped, error) {
	if _, err := clock(ctx); err != nil {
		return Reaped{}, translate(err)
	}
	ctx, _, stop := alive(ctx)
	defer stop()
	b, err := r.backendOf(ctx, in)
	if err != nil {
		return Reaped{}, translate(err)
	}
	ctx, end := mirror.Begin(ctx, "reap", in.Target.Mirror, span.Region.String(in.Region.Name))
	out, err := b.Reap(ctx)
	end(err)
	mirror.CountReaped(ctx, in.Target.Mirror, in.Region.Name, out.Reaped)
	if s, ok := b.(backend.Scrubber); ok && err == nil {
		out.Scrubbed, err = scrubRegion(ctx, s, in)
	}
	return out, translate(err)
}

// scrubRegion hashes those bytes of the region that are its own and whose turn
// has come, and brings damaged files back from where the region gets its releases.
func scrubRegion(ctx context.Context, s backend.Scrubber, in RegionInput) (backend.Scrubbed, error) {
	name := in.Target.Mirror.Name
	src, done, err := release.From(release.Origin{Region: in.Region, Storage: in.Target.Storage, Mirror: name})
	if err != nil {
		return backend.Scrubbed{}, err
	}
	defer done()
	out, err := s.Scrub(ctx, src)
	telemetry.Problems.Add(ctx, int64(len(out.Problems)+len(out.Mended)), append(mirror.Attributes(in.Target.Mirror), span.Region.String(in.Region.Name))...)
	log := activity.GetLogger(ctx)
	for _, p := range out.Mended {
		log.Warn("a damaged file was brought back: look at the disk", "mirror", name, "region", in.Region.Name, "path", p)
	}
	for _, p := range out.Problems {
		log.Error("a damaged file stays", "mirror", name, "region", in.Region.Name, "problem", p)
	}
	return out, err
}
