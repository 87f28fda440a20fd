// Package afs publishes a mirror to the read-only sites of an AFS volume.
//
// The mirror's tree is the read-write volume. vos release clones it and
// brings every site up to the clone, each site atomically, one after another;
// there is no choosing of sites, so all of them are one group.
//
// What vos prints or exits with is no proof of anything: after an interrupted
// release a plain repetition publishes the old clone and exits with 0. A release
// is judged by what each site's file server serves: generation.json, and the
// indexes that the release should have changed, read from that server itself.
//
// Its notes are in the mirror's state, beside the tree and never in it:
//
//	<state>/sites/<address>-<partition>   the site's ledger
//	<state>/release/run.<n>               one run of vos release, from before its start
//	<state>/release/log.<n>               what it printed
//	<state>/release/behind/<site>         since when a site has been behind
//	<state>/release/unproved/<site>       what a site had before releases that were not proved there
//	<state>/memo/reaped                   since when deletions wait for a release
//	<state>/memo/carried                  the same of those that the release under way carries out
//	<state>/parts/<volume>/               the same for each volume that holds a part of the tree
package afs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// Region is a region of the spec that is a site of the cell.
type Region struct {
	Name      string
	Server    string // host name or address of the file server
	Partition string // "a"
}

// Options say which mirror is published to which sites.
type Options struct {
	Cell    Cell
	Volume  string // of the mirror's tree
	Mirror  string
	Tree    string // the tree's ID
	State   string // the mirror's state directory
	Regions []Region
	// Parts are volumes below the tree's own, which hold objects only. They are
	// released before it, so that no index names what a site has not got.
	Parts  []string
	Policy backend.Policy
	// Purge is how long deletions may wait for a release that has something
	// new; after that they get one of their own. 0: for ever.
	Purge time.Duration
	// Remove is how long a site may stay behind before it is removed from the
	// volume's sites. 0: for ever.
	Remove time.Duration
	Holder string                         // written into the journal
	Listen func() (net.PacketConn, error) // opens the socket that asks file servers; a UDP socket if nil
	Crash  func(string)                   // called with the name of every write boundary; tests stop there
	Now    func() time.Time               // the clock, time.Now if nil

	// Unchecked: nobody has held this host's clock against another. Then no site
	// is noted as serving anything, which would let objects go too early.
	Unchecked bool

	part bool // the volume holds objects only
}

// Backend is one mirror's volume.
type Backend struct{ Options }

var _ backend.Backend = (*Backend)(nil)

// New returns the backend of a mirror's volume. It touches nothing yet.
func New(o Options) *Backend {
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Backend{o}
}

// Publish implements backend.Backend. What the sites hold already, and that
// the volume location database agrees, is looked at first: a release without
// need would invalidate every client's cache.
func (b *Backend) Publish(ctx context.Context, src backend.Source) ([]backend.Outcome, error) {
	want, err := src.Sealed(ctx)
	if err != nil {
		return nil, err
	}
	if want == nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "afs: publish", Subject: b.Volume, Err: errors.New("no generation was verified yet")}
	}
	for _, part := range b.Parts {
		if err := b.publishPart(ctx, src, part); err != nil {
			return nil, err
		}
	}
	return b.publishVolume(ctx, src, want)
}

// publishPart releases one of the volumes that hold objects. Sites that do not
// answer get it later: the database leads clients away from them meanwhile. Any
// other that does not get it stops the release of the indexes.
func (b *Backend) publishPart(ctx context.Context, src backend.Source, volume string) error {
	o := b.Options
	o.Volume, o.State, o.Regions, o.Parts, o.part = volume, b.partState(volume), nil, nil, true
	p := New(o)
	v, err := p.look(ctx, nil)
	if err == nil && v.rw.Err != nil {
		err = v.rw.Err
	}
	if err != nil {
		return err
	}
	if v.rw.Held.Number == 0 {
		return nil // nothing was committed into it yet
	}
	outcomes, err := p.publishVolume(ctx, src, &tree.Generation{Served: v.rw.Held})
	if err != nil {
		return err
	}
	if v, err = p.look(ctx, v); err != nil {
		return err
	}
	for _, s := range v.sites {
		if !s.holds(v.rw.Held.Number) && !v.silent(s.Server) {
			i := slices.IndexFunc(outcomes, func(o backend.Outcome) bool { return strings.HasPrefix(o.Region, s.name()) && o.Error != "" })
			why := "see vos examine " + volume
			if i >= 0 {
				why = outcomes[i].Error
			}
			return &fault.Error{Kind: fault.Unavailable, Op: "afs: publish", Subject: volume,
				Err:    fmt.Errorf("site %s has not got the objects, so no index goes out: %s", s.name(), why),
				Advice: "the next cycle tries again"}
		}
	}
	return nil
}

// publishVolume brings all sites of one volume to generation want.
func (b *Backend) publishVolume(ctx context.Context, src backend.Source, want *tree.Generation) ([]backend.Outcome, error) {
	v, err := b.settled(ctx, nil)
	if err != nil {
		return nil, err
	}
	if err := v.acceptable(want.Served); err != nil {
		return nil, err
	}
	before := v.held()
	if why, clone := b.needed(v, want.Number); why != "" {
		if v, err = b.bring(ctx, src, v, want, clone); err != nil {
			return nil, err
		}
	} else { // a release whose worker died, or that brought damage
		v.blame(b.proveIndexes(ctx, src, v, want), nil, want.Number)
	}
	if err := b.note(v); err != nil {
		return nil, err
	}
	if err := b.removeLate(ctx, v); err != nil {
		return nil, err
	}
	return b.outcomes(ctx, v, want.Number, before), nil
}

// Serving implements backend.Backend.
func (b *Backend) Serving(ctx context.Context) ([]backend.Outcome, error) {
	v, err := b.look(ctx, nil)
	if err != nil {
		return nil, err
	}
	return b.outcomes(ctx, v, v.newest(), nil), nil
}

// Reap implements backend.Backend. The tree is the store of all sites: what
// may go is deleted there (see Due), and the next release carries it out.
func (b *Backend) Reap(context.Context) (backend.Reaped, error) { return backend.Reaped{}, nil }

// needed says why a release is to be made, "" if none is, and whether the
// volume has to be cloned anew.
func (b *Backend) needed(v *view, want int64) (why string, force bool) {
	force = v.entry.Clone != 0 || v.flagged()
	behind, reachable := v.behind(want)
	switch {
	case len(behind) == len(v.sites) && !reachable:
		return "no site answers", force // the release itself says what is wrong
	case reachable:
		return fmt.Sprintf("%d sites are behind", len(behind)), force
	case len(behind) > 0:
		return "", false // all that lag cannot be reached: nothing would come of it
	case force:
		return "the volume location database has an unfinished release", true
	case b.purgeDue() && v.rw.Held.Number == want: // else the release of what is there now takes it along
		return "deletions have waited long enough", false
	}
	return "", false
}

// bring releases the volume and looks at the result; where the sites do not
// hold what was released, once more with a new clone.
func (b *Backend) bring(ctx context.Context, src backend.Source, v *view, want *tree.Generation, force bool) (*view, error) {
	due, _ := v.behind(want.Number)
	for again := false; ; again = true {
		if err := b.note(v); err != nil {
			return nil, err
		}
		failure, err := b.release(ctx, v, want, force)
		if err != nil {
			return nil, err
		}
		after, err := b.settled(ctx, v)
		if err != nil {
			return nil, errors.Join(failure, err)
		}
		wrong := b.proveIndexes(ctx, src, after, want)
		behind, reachable := after.behind(want.Number)
		switch {
		case failure != nil && len(due) == 0 && len(behind) == 0:
			// Nothing that sites show tells whether deletions were carried out.
			return nil, failure
		case failure != nil && len(wrong) == 0 && (len(behind) == 0 || !reachable):
			return after, nil
		case len(wrong) == 0 && (len(behind) == 0 || !reachable):
			return after, b.purged()
		}
		if again || failure != nil {
			b.findFull(ctx, after, want.Number)
			after.blame(wrong, failure, want.Number)
			return after, nil
		}
		v, force = after, true
	}
}

// outcomes says for every region, and for every site that no region names, what it holds.
func (b *Backend) outcomes(ctx context.Context, v *view, want int64, before map[string]int64) []backend.Outcome {
	var out []backend.Outcome
	var dump int64
	if late, _ := v.behind(want); len(late) > 0 && want > 0 {
		// A site that missed a release may get all of the volume with the next.
		// Where that cannot be learned, it is not said.
		if i, err := b.examine(ctx); err == nil {
			dump = i.Used
		}
	}
	named := map[string]bool{}
	for _, r := range b.Regions {
		s, err := v.siteOf(r)
		if err != nil {
			out = append(out, backend.Outcome{Region: r.Name, Kind: string(fault.KindOf(err)), Error: err.Error()})
			continue
		}
		named[s.name()] = true
		out = append(out, s.outcome(r.Name, want, dump, before))
	}
	for _, s := range v.sites {
		if !named[s.name()] {
			out = append(out, s.outcome(s.name()+" (not in the spec)", want, dump, before))
		}
	}
	return out
}

func (s *site) outcome(region string, want, dump int64, before map[string]int64) backend.Outcome {
	o := backend.Outcome{Region: region, Serves: s.Held.Number, Silent: errors.Is(s.Err, afsread.ErrSilent)}
	if want > 0 && !s.holds(want) {
		o.Behind = dump
	}
	if before != nil {
		o.Changed = before[s.name()] != o.Serves
	}
	err := s.Err
	if err == nil && want > 0 && !s.holds(want) {
		err = &fault.Error{Kind: fault.Unavailable, Op: "afs: release to", Subject: s.name(),
			Err:    fmt.Errorf("the site holds generation %d, wanted is all of %d (%s)", o.Serves, want, stateText(s.State)),
			Advice: fmt.Sprintf("the next cycle tries again; it will get all that changed since, at most the whole volume of %d KB", dump)}
	}
	if err != nil {
		o.Kind, o.Error = string(fault.KindOf(err)), err.Error()
	}
	return o
}

// listen opens the client that asks file servers.
func (b *Backend) listen() (*afsread.Client, error) {
	var conn net.PacketConn
	if b.Listen != nil {
		var err error
		if conn, err = b.Listen(); err != nil {
			return nil, err
		}
	}
	return afsread.New(conn)
}

// path returns a name in the release's part of the state.
func (b *Backend) path(elem ...string) string {
	return filepath.Join(append([]string{b.State, "release"}, elem...)...)
}

// siteName names a site in file names and messages.
func siteName(server netip.Addr, partition string) string { return server.String() + "-" + partition }

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
