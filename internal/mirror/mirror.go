// Package mirror is one mirror on this host, without Temporal: it opens the tree, plans, fetches, commits, verifies, tends and answers.
//
// What may cross Temporal is bounded here: names, counts and digests leave this
// package, lists of packages stay in files under the state. Every step may run
// twice, or beside a late attempt of itself: whoever writes holds a lease and is
// fenced by the tree.
package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Target names one mirror and the storage that holds its tree.
type Target struct {
	Storage mirrorspec.Storage  `json:"storage"`
	Limits  mirrorspec.Limits   `json:"limits"`
	Every   mirrorspec.Duration `json:"every"`
	Mirror  mirrorspec.Mirror   `json:"mirror"`
	AFS     *mirrorspec.AFS     `json:"afs,omitempty"` // of the AFS regions that the mirror goes to
	// Index is, of a wheels mirror, the mirror whose files its pages name, and
	// Referring are, of such a one, the mirrors whose pages name its files.
	Index     *mirrorspec.Mirror `json:"index,omitempty"`
	Referring []string           `json:"referring,omitempty"`
	// Platforms are, of a PyPI mirror with requirements, those of all wheels
	// mirrors of the spec: what its markers are judged by.
	Platforms []mirrorspec.Platform `json:"platforms,omitempty"`
}

// Brief is the target without the lists that may be long and that only who asks
// upstream, or builds wheels, needs.
func (t Target) Brief() Target {
	short := func(m mirrorspec.Mirror) mirrorspec.Mirror {
		m.Projects, m.Exclude, m.Requirements, m.BuildConstraints = nil, nil, nil, nil
		return m
	}
	t.Mirror, t.Platforms = short(t.Mirror), nil
	if t.Index != nil {
		index := short(*t.Index)
		t.Index = &index
	}
	return t
}

// Tree locates the tree of a mirror of a storage, and its state.
func Tree(s mirrorspec.Storage, m mirrorspec.Mirror) tree.Config {
	c := tree.At(s.Root, s.State, m.Name)
	c.Parts, c.Kind = m.Volumes, string(m.Kind)
	return c
}

// Tree locates the tree of the target, and its state.
func (t Target) Tree() tree.Config { return Tree(t.Storage, t.Mirror) }

// State is where the target's state is.
func (t Target) State() string { return t.Tree().State }

// Period is about how often cycles run. A spec with a cron schedule does not
// say; with none at all nothing would ever count as served for long enough.
func (t Target) Period() time.Duration {
	if t.Every > 0 {
		return time.Duration(t.Every)
	}
	return 24 * time.Hour
}

// Volume describes the AFS volume that holds the target's tree.
func (t Target) Volume(regions []mirrorspec.Region, treeID string) release.Volume {
	return release.Volume{AFS: *t.AFS, Regions: regions, State: t.State(), Mirror: t.Mirror, Tree: treeID, Every: t.Period()}
}

// Run is on whose behalf a mirror is worked on, and what that one gets to know.
type Run struct {
	ID     string // of one run, so that its attempts are told from another's
	Holder string // names the run in the lease
	// Internal is what upstreams may lead to inside: fetch.Options.Internal.
	Internal []string
	// Crash is called at every write boundary; tests stop the process there.
	Crash func(point string)
	// Progress is called now and then with the objects and bytes so far; nil is nobody.
	Progress func(objects, bytes int64)
	Log      Logger // nil is nobody
}

// Logger is told what no result has room for.
type Logger interface {
	Warn(message string, attributes ...any)
	Error(message string, attributes ...any)
}

// Host is what the mirrors of one process share, so that its limits hold. The zero value is ready.
type Host struct {
	clients clients
	seats   seats
}

// Mirror is one mirror, worked on by one run. Nothing but opening works before it is open.
type Mirror struct {
	Target
	run  Run
	host *Host
	t    *tree.Tree
}

// Of returns the target's mirror. The caller opens it in one of four ways, and closes it.
func (h *Host) Of(t Target, r Run) *Mirror {
	telemetry.Watch(t.Storage.State)
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Progress == nil {
		r.Progress = func(int64, int64) {}
	}
	return &Mirror{Target: t, run: r, host: h}
}

func (m *Mirror) config() tree.Config {
	c := m.Tree()
	c.Crash, c.Run, c.Holder = m.run.Crash, m.run.ID, m.run.Holder
	if m.AFS == nil { // an AFS client cannot tell; there the volume's quota ends what is too much
		c.MinFree = int64(m.Storage.MinFree)
	}
	return c
}

// Read opens the mirror without its lease: nothing can be written.
func (m *Mirror) Read() (err error) {
	m.t, err = tree.Read(m.config())
	return err
}

// Resume goes on as the holder of an epoch; 0 only reads.
func (m *Mirror) Resume(epoch int64) (err error) {
	if epoch == 0 {
		return m.Read()
	}
	m.t, err = tree.Resume(m.config(), epoch)
	return err
}

// Renew goes on under the epoch after the given one: of several attempts at
// what must happen once, only the newest can still write.
func (m *Mirror) Renew(epoch int64) (err error) {
	m.t, err = tree.Renew(m.config(), epoch)
	return err
}

// Close lets go of the tree, not of its lease.
func (m *Mirror) Close() {
	if m.t != nil {
		m.t.Close()
	}
}

// Identified says which tree a mirror has.
type Identified struct {
	Tree   string `json:"tree"`
	Sealed int64  `json:"sealed"` // newest verified generation, 0 for none
}

// Identify reads the identity of the mirror's tree, and what of it is sealed.
func (m *Mirror) Identify() (Identified, error) {
	out := Identified{Tree: m.t.ID().Tree}
	g, err := m.t.Sealed()
	if g != nil {
		out.Sealed = g.Number
	}
	return out, err
}

// Opened is the lease that a run holds.
type Opened struct {
	Tree      string `json:"tree"`
	Epoch     int64  `json:"epoch"`
	Committed int64  `json:"committed"` // 0 for none
	Sealed    int64  `json:"sealed"`    // newest verified generation, 0 for none
	Above     int64  `json:"above"`     // the next number must be above this
	Hold      string `json:"hold,omitempty"`
}

// Open takes the lease, rolls an open intent forward and reads where the tree
// stands. A tree that is older than what one of the regions serves is fault.Stale.
func (m *Mirror) Open(ctx context.Context, regions []mirrorspec.Region) (out Opened, err error) {
	if m.t, err = tree.Open(m.config()); err != nil {
		return out, err
	}
	out.Tree, out.Epoch = m.t.ID().Tree, m.t.Epoch()
	g, err := m.t.Committed()
	if err != nil {
		return out, err
	}
	if g != nil {
		out.Committed = g.Number
	}
	sealed, err := m.t.Sealed()
	if err != nil {
		return out, err
	}
	if sealed != nil {
		out.Sealed = sealed.Number
	}
	if out.Hold, err = m.t.Hold(); err != nil {
		return out, err
	}
	top, above, err := m.newest(ctx, regions)
	if err == nil && top > out.Committed {
		err = stale(m.t.Dir(), top, out.Committed)
	}
	out.Above = above
	return out, err
}

func stale(dir string, top, committed int64) error {
	return &fault.Error{Kind: fault.Stale, Op: "tree: open", Subject: dir,
		Err:    fmt.Errorf("a region serves generation %d, the tree is at %d: an older copy of the tree was restored", top, committed),
		Advice: "restore the newer tree, or starter region rebuild REGION for the region with that generation; nothing was changed"}
}

// newest returns the highest generation of the tree that any region was seen to
// serve, and the number that the next one has to be above.
func (m *Mirror) newest(ctx context.Context, regions []mirrorspec.Region) (top, above int64, err error) {
	id := m.t.ID().Tree
	top, above, err = release.Newest(id, m.Mirror.Name, regions)
	if err != nil || m.AFS == nil {
		return top, above, err
	}
	there, err := release.NewestAtSites(ctx, release.Sites(m.Volume(regions, id)))
	return max(top, there), max(above, there), err
}
