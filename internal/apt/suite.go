package apt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// attempts is how often a suite is begun when upstream publishes while it is read.
const attempts = 4

// suitePlan is a suite's way from its committed table to a new one.
type suitePlan struct {
	Suite   string     `json:"suite"`
	State   suiteState `json:"state"`
	Emptied []string   `json:"emptied,omitempty"` // components that lost their last package
	// Replaced are objects whose path holds other bytes, which the spec allows.
	// Their content is kept in the state until the suite is settled: put in
	// place any earlier, it would spoil the committed generation.
	Replaced []manifest.Entry `json:"replaced,omitempty"`
}

// plan brings a suite's indexes into the state and returns its new table, or
// nil if there is nothing new. Where upstream seems to publish while we read,
// the suite is begun anew from its Release; indexes of two of them never meet.
func (e *Engine) plan(ctx context.Context, t *tree.Tree, suite string, keys *debrepo.Keyring, old suiteState) (*suitePlan, error) {
	for attempt := 1; ; attempt++ {
		p, err := e.planOnce(ctx, t, suite, keys, old, attempt > 1)
		if attempt == attempts || !midSync(err) {
			return p, err
		}
	}
}

// indexError is why an index that Release names could not be fetched.
type indexError struct {
	path string // relative to the archive
	err  error
}

func (e *indexError) Error() string { return fmt.Sprintf("apt: fetch index %s: %v", e.path, e.err) }
func (e *indexError) Unwrap() error { return e.err }

// midSync reports whether err is what a suite looks like while upstream
// publishes it: an index that Release names is not there, or is another one.
func midSync(err error) bool {
	var index *indexError
	return errors.As(err, &index) && (errors.Is(err, fault.Gone) || errors.Is(err, fault.Unproved))
}

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
		if anew, err := signedAnew(t, suite, rel, old); err != nil || !anew {
			return nil, err
		}
	}
	return e.table(ctx, t, suite, rel, old)
}

// signedAnew reports whether the committed text has other signatures now, which
// clients need when the archive changes its keys. Other forms of the same, such
// as Release.gpg while InRelease cannot be had, are none.
func signedAnew(t *tree.Tree, suite string, rel *signed, old suiteState) (bool, error) {
	table, err := openTable(t, old.Table)
	if err != nil {
		return false, err
	}
	for name, data := range rel.files {
		e, ok, err := table.Lookup(join(suiteDir(suite), name))
		if err != nil {
			return false, err
		}
		if ok && e.Digest != manifest.Digest(sha256.Sum256(data)) {
			return true, nil
		}
	}
	return false, nil
}

// expired reports an unchanged suite that clients begin to refuse.
func (e *Engine) expired(suite string, old suiteState) error {
	if old.ValidUntil.IsZero() || !old.ValidUntil.Before(e.cfg.Now()) {
		return nil
	}
	return &fault.Error{Kind: fault.Stale, Op: "apt: plan suite", Subject: suiteDir(suite),
		Err: fmt.Errorf("Valid-Until %s has passed and upstream has nothing newer", stamp(old.ValidUntil)), Advice: "check the upstream mirror"}
}

// table keeps the suite's indexes and lists all that they refer to.
func (e *Engine) table(ctx context.Context, t *tree.Tree, suite string, rel *signed, old suiteState) (*suitePlan, error) {
	indexes, err := e.selects(suite, rel.Release)
	if err != nil {
		return nil, err
	}
	b := &builder{t: t, dir: suiteDir(suite), counts: map[string]int64{}}
	byHash := e.cfg.ByHash && rel.AcquireByHash
	for _, index := range indexes {
		forms, err := e.keep(ctx, t, b.dir, index.Index, rel.AcquireByHash)
		if err != nil {
			return nil, err
		}
		if err := b.index(index, forms, byHash); err != nil {
			return nil, err
		}
	}
	if err := b.releases(rel); err != nil {
		return nil, err
	}
	table, err := b.write()
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
