package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.temporal.io/sdk/activity"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/yum"
	"mirrorcycle/mirrorspec"
)

// Sync holds the activities of the role sync:<storage>: everything that touches a tree.
type Sync struct {
	// Clients are shared by all activities of a worker, so that its limits hold.
	clients clients
	seats   seats
	// Crash is handed to every tree; tests stop the process there.
	Crash func(point string)
	// Internal is what upstreams may lead to inside: fetch.Options.Internal.
	Internal []string
}

// config locates the tree of target; holder names the run in the lease.
func (s *Sync) config(ctx context.Context, t Target) tree.Config {
	telemetry.Watch(t.Storage.State)
	info := activity.GetInfo(ctx)
	host, _ := os.Hostname()
	return tree.Config{
		Dir: treeDir(t), State: stateDir(t), Parts: t.Mirror.Volumes, Crash: s.Crash, Run: info.WorkflowExecution.RunID,
		Holder: fmt.Sprintf("namespace %s workflow %s run %s host %s pid %d", info.Namespace,
			info.WorkflowExecution.ID, info.WorkflowExecution.RunID, host, os.Getpid()),
	}
}

func treeDir(t Target) string {
	return mirrorspec.Spec{Storage: t.Storage}.TreeDir(t.Mirror.Name)
}

func stateDir(t Target) string {
	return mirrorspec.Spec{Storage: t.Storage}.StateDir(t.Mirror.Name)
}

// Identify reads the identity of a mirror's tree, and what of it is sealed.
func (s *Sync) Identify(ctx context.Context, target Target) (Identified, error) {
	t, err := tree.Read(s.config(ctx, target))
	if err != nil {
		return Identified{}, translate(err)
	}
	defer t.Close()
	out := Identified{Tree: t.ID().Tree}
	g, err := t.Sealed()
	if g != nil {
		out.Sealed = g.Number
	}
	return out, translate(err)
}

// Open takes the lease, rolls an open intent forward and reads where the tree stands.
func (s *Sync) Open(ctx context.Context, in OpenInput) (Opened, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	t, err := tree.Open(s.config(ctx, in.Target))
	if err != nil {
		return Opened{}, translate(err)
	}
	defer t.Close()
	out := Opened{Tree: t.ID().Tree, Epoch: t.Epoch()}
	g, err := t.Committed()
	if err != nil {
		return out, translate(err)
	}
	if g != nil {
		out.Committed = g.Number
	}
	sealed, err := t.Sealed()
	if err != nil {
		return out, translate(err)
	}
	if sealed != nil {
		out.Sealed = sealed.Number
	}
	if out.Hold, err = t.Hold(); err != nil {
		return out, translate(err)
	}
	out.Above, err = newest(ctx, in, t.ID().Tree)
	if err == nil && out.Above > out.Committed {
		err = &fault.Error{Kind: fault.Stale, Op: "tree: open", Subject: t.Dir(),
			Err:    fmt.Errorf("a region serves generation %d, the tree is at %d: an older copy of the tree was restored", out.Above, out.Committed),
			Advice: "restore the newer tree from a backup; nothing was changed"}
	}
	return out, translate(err)
}

// newest returns the highest generation that any region was seen to serve.
func newest(ctx context.Context, in OpenInput, treeID string) (int64, error) {
	top, err := release.Newest(treeID, in.Target.Mirror.Name, in.Regions)
	if err != nil || in.Target.AFS == nil {
		return top, err
	}
	there, err := release.NewestAtSites(ctx, release.Sites(volume(in.Target, in.Regions, treeID)))
	return max(top, there), err
}

// volume describes the AFS volume that holds the target's tree.
func volume(t Target, regions []mirrorspec.Region, treeID string) release.Volume {
	return release.Volume{AFS: *t.AFS, Regions: regions, State: stateDir(t), Mirror: t.Mirror, Tree: treeID, Every: period(t)}
}

// Plan asks upstream what changed.
func (s *Sync) Plan(ctx context.Context, in PlanInput) (Planned, error) {
	var out Planned
	err := s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, _ *pulse) (err error) {
		if in.Whole {
			in.Target.Limits.Step, in.Target.Limits.StepObjects = 0, 0
		}
		engine, err := s.engine(in.Target)
		if err != nil {
			return err
		}
		if in.Spare {
			engine = s.sparing(engine)
		}
		if out.Digest, out.Info, err = engine.Plan(ctx, t); err == nil {
			err = recognise(t, out.Info.Deferred)
		}
		out.Info.Deferred, out.Info.Emptied, out.Info.Renamed = Told(out.Info.Deferred), few(out.Info.Emptied), few(out.Info.Renamed)
		if err != nil || out.Digest == "" {
			return err
		}
		p, err := t.OpenPlan(out.Digest)
		if err != nil {
			return err
		}
		if err := precheck(ctx, t, in.Target, p, 0, p.Info.Shards); err != nil {
			return err
		}
		if err := fits(ctx, t, in.Target, planned(p)); err != nil {
			return err
		}
		if in.Approved != "" {
			out.Approved, err = t.Approves(in.Approved, p)
		}
		return errors.Join(err, p.Redo())
	})
	return out, err
}

// Fetch brings one shard of a plan into the tree.
func (s *Sync) Fetch(ctx context.Context, in FetchInput) (Fetched, error) {
	var out Fetched
	err := s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, beat *pulse) (err error) {
		client, err := s.clients.of(in.Target, s.Internal)
		if err != nil {
			return err
		}
		p, err := t.OpenPlan(in.Plan)
		if err != nil {
			return err
		}
		// Other mirrors have been filling the same disk since the plan was made.
		if !p.IsDone(in.Shard) {
			if err := precheck(ctx, t, in.Target, p, in.Shard, in.Shard+1); err != nil {
				return err
			}
		}
		row, leave := s.seats.of(in.Plan, in.Target.Limits.Downloads)
		defer leave()
		ctx, end := begin(ctx, "fetch", in.Target.Mirror, attribute.Int("mirrorcycle.shard", in.Shard))
		defer func() { end(err) }()
		results, err := transfer.Run(ctx, t, p, in.Shard, transfer.Options{Client: client, Upstreams: in.Target.Mirror.Upstream,
			Workers: in.Target.Limits.Downloads, Seats: row, Progress: beat.progress})
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
		countFetched(ctx, in.Target.Mirror, out)
		return err
	})
	return out, err
}

// Commit makes a fetched plan the next generation.
func (s *Sync) Commit(ctx context.Context, in CommitInput) (Committed, error) {
	var out Committed
	err := s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, _ *pulse) error {
		out.Epoch = t.Epoch()
		if g, err := t.Committed(); err != nil || (g != nil && g.Plan == in.Plan) {
			if g != nil { // an earlier attempt of this very activity came to the end
				out.Number, out.Changes, out.Deferred = g.Number, g.Changes, leftBy(t, in.Plan)
			}
			return err
		}
		engine, err := s.engine(in.Target)
		if err != nil {
			return err
		}
		p, err := t.OpenPlan(in.Plan)
		if err != nil {
			return err
		}
		req, notes, err := engine.Settle(ctx, t, p)
		out.Deferred = Told(notes)
		if err != nil || req.Manifest == nil {
			return err
		}
		if err := errors.Join(fits(ctx, t, in.Target, settled(t, req)), leave(t, in.Plan, out.Deferred)); err != nil {
			return err
		}
		if hold, err := t.Hold(); err != nil || hold != "" && hold != in.Hold {
			out.Hold = hold
			return err
		}
		req.Plan, req.Above = in.Plan, in.Above
		ctx, end := begin(ctx, "commit", in.Target.Mirror)
		g, err := t.Commit(ctx, req)
		end(err)
		if err != nil {
			return err
		}
		out.Number, out.Changes = g.Number, g.Changes
		countCommitted(ctx, in.Target.Mirror, g.Changes)
		if len(notes) == 0 {
			return t.ForgetPlan(in.Plan)
		}
		return nil
	})
	return out, err
}

// Rollback makes an old generation's content the next generation and puts the mirror on hold.
func (s *Sync) Rollback(ctx context.Context, in RollbackInput) (Committed, error) {
	var out Committed
	err := s.renew(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, _ *pulse) error {
		out.Epoch = t.Epoch()
		if g, err := t.Committed(); err == nil && g != nil && g.Number > in.From {
			out.Number, out.Changes = g.Number, g.Changes // an earlier attempt came this far
			return nil
		}
		g, err := t.Rollback(ctx, in.To, in.Above)
		if err != nil {
			return err
		}
		out.Number, out.Changes = g.Number, g.Changes
		return nil
	})
	return out, err
}

// planWait is how long at least the objects of a unit that could not be
// committed wait for the plan that commits it.
const planWait = 24 * time.Hour

// step is one activity's work on a tree.
type step func(ctx context.Context, t *tree.Tree, beat *pulse) error

// with runs f on the tree as the holder of epoch, with a heartbeat that tells a live run from a dead one.
func (s *Sync) with(ctx context.Context, target Target, epoch int64, f step) error {
	return s.on(ctx, func(ctx context.Context) (*tree.Tree, error) { return s.open(ctx, target, epoch) }, f)
}

// renew does the same under the next epoch: of several attempts of an activity
// that must happen once, only the newest can still write.
func (s *Sync) renew(ctx context.Context, target Target, epoch int64, f step) error {
	return s.on(ctx, func(ctx context.Context) (*tree.Tree, error) { return tree.Renew(s.config(ctx, target), epoch) }, f)
}

func (s *Sync) on(ctx context.Context, open func(context.Context) (*tree.Tree, error), f step) error {
	ctx, p, stop := alive(ctx)
	defer stop()
	t, err := open(ctx)
	if err != nil {
		return translate(err)
	}
	defer t.Close()
	return translate(f(ctx, t, p))
}

// open goes on as the holder of epoch; epoch 0 only reads.
func (s *Sync) open(ctx context.Context, target Target, epoch int64) (*tree.Tree, error) {
	if epoch == 0 {
		return tree.Read(s.config(ctx, target))
	}
	return tree.Resume(s.config(ctx, target), epoch)
}

// engine builds the engine of target's kind.
func (s *Sync) engine(target Target) (Engine, error) {
	client, err := s.clients.of(target, s.Internal)
	if err != nil {
		return nil, err
	}
	m := target.Mirror
	switch m.Kind {
	case mirrorspec.Apt:
		return seen{apt.New(apt.Config{Upstreams: m.Upstream, Suites: m.Suites, Components: m.Components, SuiteComponents: m.SuiteComponents, Architectures: m.Architectures,
			Indexes: m.Indexes, Translations: m.Translations, Keyring: m.Keyring, Replace: m.OnConflict == mirrorspec.Replace,
			Tolerate: m.Missing == mirrorspec.Tolerate, IgnoreValidUntil: m.IgnoreValidUntil, ByHash: m.ByHash, Step: stepOf(target)}, client), m}, nil
	case mirrorspec.Yum:
		return seen{yum.New(yum.Config{Upstreams: m.Upstream, Repos: m.Repos, Releases: m.Releases, Architectures: m.Architectures, Metalink: m.Metalink,
			MirrorList: m.MirrorList, Keyring: m.Keyring, Proof: m.Proof, Replace: m.OnConflict == mirrorspec.Replace, Step: stepOf(target)}, client), m}, nil
	case mirrorspec.PyPI:
		return seen{pypi.New(pypiConfig(target), client), m}, nil
	case mirrorspec.Wheels:
		return wheelsEngine(target)
	}
	return nil, &fault.Error{Kind: fault.Config, Op: "activities: run mirror", Subject: m.Name,
		Err: fmt.Errorf("this version has no engine for kind %q", m.Kind), Advice: "remove the mirror from the spec"}
}

func stepOf(t Target) tree.Step {
	return tree.Step{Bytes: int64(t.Limits.Step), Objects: int64(t.Limits.StepObjects)}
}

// sparing is the engine that removes nothing, where it can.
func (s *Sync) sparing(e Engine) Engine {
	if w, ok := e.(seen); ok {
		if p, ok := w.Engine.(*pypi.Engine); ok {
			return seen{p.Sparing(), w.mirror}
		}
	}
	return e
}

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
