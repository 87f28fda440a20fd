package apt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// flips is how often a suite is started over when upstream changes in mid-sync.
const flips = 4

// suitePlan is a suite's way from its committed table to a new one.
type suitePlan struct {
	Suite   string     `json:"suite"`
	State   suiteState `json:"state"`
	Emptied []string   `json:"emptied,omitempty"` // components that lost their last package
}

// plan brings a suite's indexes into the state and returns its new table, or
// nil if there is nothing new. Upstream may publish while we read: an index
// that fails its digest means starting over from Release.
func (e *Engine) plan(ctx context.Context, t *tree.Tree, suite string, keys *debrepo.Keyring, old suiteState) (*suitePlan, error) {
	for attempt := 1; ; attempt++ {
		p, err := e.planOnce(ctx, t, suite, keys, old, attempt > 1)
		if attempt == flips || !(errors.Is(err, fault.Unproved) && errors.Is(err, errIndex) || errors.Is(err, errIndex) && errors.Is(err, fault.Gone)) {
			return p, err
		}
	}
}

// errIndex marks failures of an index that Release names, which a newer Release may heal.
var errIndex = errors.New("index")

func (e *Engine) planOnce(ctx context.Context, t *tree.Tree, suite string, keys *debrepo.Keyring, old suiteState, again bool) (*suitePlan, error) {
	config := e.cfg.fingerprint()
	rel, err := e.release(ctx, suite, keys, old, again || old.Config != config)
	if err != nil {
		return nil, err
	}
	if rel == nil {
		return nil, e.expired(suite, old)
	}
	if err := e.current(suite, rel, old); err != nil {
		return nil, err
	}
	if rel.digest() == old.Digest && old.Config == config {
		return nil, nil
	}
	return e.table(ctx, t, suite, rel, old)
}

// expired reports an unchanged suite that clients begin to refuse.
func (e *Engine) expired(suite string, old suiteState) error {
	if old.ValidUntil.IsZero() || !old.ValidUntil.Before(e.cfg.Now()) {
		return nil
	}
	return &fault.Error{Kind: fault.Stale, Op: "apt: plan suite", Subject: suite,
		Err: fmt.Errorf("Valid-Until %s has passed and upstream has nothing newer", stamp(old.ValidUntil)), Advice: "check the upstream mirror"}
}

// table keeps the suite's indexes and lists all that they refer to.
func (e *Engine) table(ctx context.Context, t *tree.Tree, suite string, rel *signed, old suiteState) (*suitePlan, error) {
	indexes, err := e.selects(suite, rel.Release)
	if err != nil {
		return nil, err
	}
	b := &builder{t: t, dir: suiteDir(suite), entries: map[string]manifest.Entry{}, counts: map[string]int64{}}
	byHash := e.cfg.ByHash && rel.AcquireByHash
	for _, index := range indexes {
		forms, err := e.keep(ctx, t, b.dir, index.Index, rel.AcquireByHash)
		if err != nil {
			return nil, fmt.Errorf("%w %s: %w", errIndex, index.Path, err)
		}
		if err := b.index(index, forms, byHash); err != nil {
			return nil, err
		}
	}
	if err := b.releases(rel); err != nil {
		return nil, err
	}
	table, err := manifest.Write(t, b.sorted())
	if err != nil {
		return nil, err
	}
	p := &suitePlan{Suite: suite, State: suiteState{ETag: rel.etag, LastModified: rel.lastMod, Digest: rel.digest(), Date: rel.Date,
		ValidUntil: rel.ValidUntil, Config: e.cfg.fingerprint(), Counts: b.counts, ByHash: b.byHash, Table: table.ID().String()}}
	for _, component := range slices.Sorted(maps.Keys(old.Counts)) {
		if old.Counts[component] > 0 && b.counts[component] == 0 {
			p.Emptied = append(p.Emptied, suite+"/"+component)
		}
	}
	return p, nil
}

// builder collects what a suite refers to.
type builder struct {
	t       *tree.Tree
	dir     string
	entries map[string]manifest.Entry
	counts  map[string]int64
	byHash  int64
}

func (b *builder) add(e manifest.Entry) error {
	if err := tree.CheckPath(e.Path); err != nil {
		return err
	}
	if old, ok := b.entries[e.Path]; ok && old != e {
		return &fault.Error{Kind: fault.Malformed, Op: "apt: read indexes", Subject: e.Path,
			Err: fmt.Errorf("listed with %s (%d bytes) and with %s (%d bytes)", old.Digest, old.Size, e.Digest, e.Size), Advice: "tell upstream"}
	}
	b.entries[e.Path] = e
	return nil
}

func (b *builder) sorted() func(func(manifest.Entry, error) bool) {
	return func(yield func(manifest.Entry, error) bool) {
		for _, p := range slices.Sorted(maps.Keys(b.entries)) {
			if !yield(b.entries[p], nil) {
				return
			}
		}
	}
}

// index lists the forms of an index under their names and the packages in it.
func (b *builder) index(index wantedIndex, forms []form, byHash bool) error {
	for _, f := range forms {
		e := manifest.Entry{Path: join(b.dir, f.Path), Kind: manifest.Index2, Size: f.Size, Digest: f.digest}
		if err := b.add(e); err != nil {
			return err
		}
		if !byHash {
			continue
		}
		for _, p := range debrepo.ByHashPaths(f.File) {
			if err := b.add(manifest.Entry{Path: join(b.dir, p), Kind: manifest.Object, Size: f.Size, Digest: f.digest}); err != nil {
				return err
			}
			b.byHash++
		}
	}
	if index.Kind != debrepo.KindPackages {
		return nil
	}
	b.counts[index.component] += 0
	return read(b.t, index.Index, forms, func(p debrepo.Package) error {
		d, err := manifest.ParseDigest(p.Hashes.SHA256)
		if err != nil {
			return &fault.Error{Kind: fault.Unproved, Op: "apt: read package", Subject: p.Filename,
				Err: errors.New("the index gives no SHA256"), Advice: "upstream must list SHA256 digests"}
		}
		b.counts[index.component]++
		return b.add(manifest.Entry{Path: p.Filename, Kind: manifest.Object, Size: p.Size, Digest: d})
	})
}

// releases keeps the signed files, InRelease last in rank.
func (b *builder) releases(rel *signed) error {
	for name, data := range rel.files {
		d, err := b.t.PutIndex(data)
		if err != nil {
			return err
		}
		kind := manifest.Index3
		if name == "InRelease" || name == "Release.gpg" {
			kind = manifest.Pointer
		}
		if err := b.add(manifest.Entry{Path: join(b.dir, name), Kind: kind, Size: int64(len(data)), Digest: d}); err != nil {
			return err
		}
	}
	return nil
}
