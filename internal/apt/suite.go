package apt

import (
	"cmp"
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
	Renamed string     `json:"renamed,omitempty"` // what the suite calls itself, if that is not what was asked for
	// Replaced are objects whose path holds other bytes, which the spec allows.
	// Their content is kept in the state until the suite is settled: put in
	// place any earlier, it would spoil the committed generation.
	Replaced []manifest.Entry `json:"replaced,omitempty"`
	// Kept: some objects of it are in the state already, where they were proved.
	Kept bool `json:"kept,omitempty"`
}

// plan brings a suite's indexes into the state and returns its new table, or
// nil if there is nothing new. Where upstream seems to publish while we read,
// the suite is begun anew from its Release; indexes of two of them never meet.
func (e *Engine) plan(ctx context.Context, t *tree.Tree, suite string, keys *debrepo.Keyring, old suiteState, d *doubt) (*suitePlan, error) {
	due := d.due()
	for attempt := 1; ; attempt++ {
		try := try{again: attempt > 1 || due, due: due, last: attempt == attempts}
		p, err := e.planOnce(ctx, t, suite, keys, old, d, try)
		if p == nil && err == nil && old.Missing != "" {
			return e.lookAgain(ctx, t, suite, old)
		}
		if try.last || !midSync(err) {
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

// try is one attempt to plan a suite.
type try struct {
	again bool // read the Release whole, although upstream says that it stands still
	due   bool // ask for what was left out of a Release that stands still
	last  bool // take what can be had
}

func (e *Engine) planOnce(ctx context.Context, t *tree.Tree, suite string, keys *debrepo.Keyring, old suiteState, d *doubt, try try) (*suitePlan, error) {
	config := e.cfg.fingerprint(suite)
	rel, err := e.release(ctx, suite, keys, old, ask{whole: try.again || old.Config != config, again: try.again})
	if err != nil || rel == nil {
		return nil, err
	}
	same := rel.digest() == old.Digest && old.Config == config
	if same && !try.due {
		if anew, err := signedAnew(t, suite, rel, old); err != nil || !anew {
			return nil, err
		}
	}
	b, err := e.table(ctx, t, suite, rel, old, d, try.last)
	if err != nil {
		return nil, err
	}
	d.asked(b.doubted, same)
	p, err := e.suitePlan(suite, rel, old, b)
	if err == nil && same && p.State.Table == old.Table {
		return nil, nil // and nothing more could be had
	}
	return p, err
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
	if e.cfg.IgnoreValidUntil || old.ValidUntil.IsZero() || !old.ValidUntil.Before(e.cfg.Now()) {
		return nil
	}
	return &fault.Error{Kind: fault.Stale, Op: "apt: plan suite", Subject: suiteDir(suite),
		Err: fmt.Errorf("Valid-Until %s has passed and upstream has nothing newer", stamp(old.ValidUntil)), Advice: "check the upstream mirror"}
}

// table keeps the suite's indexes and lists all that they refer to.
func (e *Engine) table(ctx context.Context, t *tree.Tree, suite string, rel *signed, old suiteState, d *doubt, last bool) (*builder, error) {
	choice, err := e.choose(suite, rel.Release)
	if err != nil {
		return nil, err
	}
	was, err := openTable(t, old.Table)
	if err != nil {
		return nil, err
	}
	b := &builder{e: e, ctx: ctx, t: t, suite: suite, dir: suiteDir(suite), was: was, byHash: e.cfg.ByHash && rel.AcquireByHash, counts: map[string]int64{}}
	if rel.Date.IsZero() {
		b.leave(&fault.Error{Kind: fault.Stale, Op: "apt: plan suite", Subject: b.dir, Err: errors.New(cmp.Or(rel.DateFlaw, "Release has no Date")),
			Advice: "an older Release in its place cannot be told; tell upstream"})
	}
	for _, lack := range choice.lacks {
		b.leave(&fault.Error{Kind: fault.Config, Op: "apt: plan suite", Subject: b.dir, Err: fmt.Errorf("the Release file lists no Packages for %s", lack),
			Advice: holds(rel.Release)})
	}
	if err := b.room(choice.indexes); err != nil {
		return nil, err
	}
	found, err := e.keepAll(ctx, t, choice.indexes, keeping{upstreams: rel.upstreams, dir: b.dir, byHash: rel.AcquireByHash, last: last})
	if err != nil {
		return nil, err
	}
	for i, index := range choice.indexes {
		if err := b.take(index, found[i].forms, found[i].left, d); err != nil {
			return nil, err
		}
	}
	return b, b.releases(rel)
}

// take adds an index of which some forms were had and others left.
func (b *builder) take(index wantedIndex, forms []form, left []leftForm, d *doubt) error {
	if len(forms) == 0 {
		if err := needed(index, left); err != nil {
			return err
		}
		if err := d.lost(b, index.Index, left); err != nil {
			return err
		}
	}
	if err := b.left(index.Index, left, len(forms) > 0); err != nil || len(forms) == 0 {
		return err
	}
	return b.index(index, forms)
}

// needed returns why a suite cannot be had without an index, nil if it can.
func needed(index wantedIndex, left []leftForm) error {
	if index.Kind != debrepo.KindPackages && index.Kind != debrepo.KindSources {
		return nil
	}
	if len(left) == 0 {
		return &fault.Error{Kind: fault.Unproved, Op: "apt: plan index", Subject: index.Path,
			Err: errors.New("the Release file gives neither SHA256 nor SHA512"), Advice: "upstream's Release is too old a format to be proved"}
	}
	return worst(left)
}

// worst returns the reason that says most: what is wrong, what may pass, what is not there.
func worst(left []leftForm) error {
	for _, kind := range []fault.Kind{fault.Unproved, fault.Unavailable} {
		for _, f := range left {
			if errors.Is(f.err, kind) {
				return f.err
			}
		}
	}
	return left[0].err
}

// suitePlan sums up what b has collected.
func (e *Engine) suitePlan(suite string, rel *signed, old suiteState, b *builder) (*suitePlan, error) {
	table, err := b.write()
	if err != nil {
		return nil, err
	}
	p := &suitePlan{Suite: suite, Kept: b.fetched, Renamed: renamed(suite, rel, old), State: suiteState{Signer: rel.signer, Is: rel.names(), ETag: rel.etag, LastModified: rel.lastMod, Digest: rel.digest(), Date: rel.Date,
		ValidUntil: rel.ValidUntil, Config: e.cfg.fingerprint(suite), Counts: b.counts, ByHash: b.hashed, Table: table.ID().String(), Notes: b.notes}}
	if len(b.missing) > 0 {
		missing, err := manifest.Write(b.t, each(b.missing))
		if err != nil {
			return nil, err
		}
		p.State.Missing = missing.ID().String()
	}
	for _, group := range slices.Sorted(maps.Keys(old.Counts)) {
		if old.Counts[group] > 0 && b.counts[group] == 0 {
			p.Emptied = append(p.Emptied, suite+"/"+group)
		}
	}
	return p, nil
}
