package afs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// view is what the cell says of the volume at one moment.
type view struct {
	b     *Backend
	entry vos.Entry
	rw    *site
	sites []*site // read-only ones, all that the database knows
}

// site is one place of the volume, and what its file server serves.
type site struct {
	vos.Site
	Held tree.Served // Number is 0 if nothing is there yet
	Err  error       // why that is unknown
}

// holds tells whether the site has generation n whole, and the database knows it.
func (s *site) holds(n int64) bool {
	return s.Err == nil && s.Held.Number == n && s.State != vos.OldRelease
}

func (s *site) name() string { return siteName(s.Server, s.Partition) }

// readTime is how long a file server has for an answer; again, how long one
// has that gave none a moment ago.
const readTime, again = 10 * time.Second, time.Second

// entry reads the volume's entry of the volume location database.
func (b *Backend) entry(ctx context.Context) (vos.Entry, error) {
	out, err := b.Cell.ask(ctx, "listvldb", "-name", b.Volume, "-quiet")
	if err != nil {
		return vos.Entry{}, fmt.Errorf("afs: look up volume %s: %w", b.Volume, err)
	}
	entries, err := vos.ParseVLDB(out)
	if err == nil && len(entries) != 1 {
		err = fmt.Errorf("%d entries", len(entries))
	}
	if err != nil {
		return vos.Entry{}, fmt.Errorf("afs: look up volume %s: %w", b.Volume, err)
	}
	return entries[0], nil
}

// look asks the database for the sites, and every site's server what it
// serves. Servers that did not answer in an earlier view are asked briefly.
func (b *Backend) look(ctx context.Context, earlier *view) (*view, error) {
	e, err := b.entry(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{b: b, entry: e}
	for _, s := range e.Sites {
		if s.ReadOnly {
			v.sites = append(v.sites, &site{Site: s})
		} else {
			v.rw = &site{Site: s}
		}
	}
	switch {
	case v.rw == nil:
		return nil, &fault.Error{Kind: fault.WrongStorage, Op: "afs: look up volume", Subject: b.Volume, Err: errors.New("it has no read-write site")}
	case len(v.sites) == 0:
		return nil, &fault.Error{Kind: fault.Config, Op: "afs: look up volume", Subject: b.Volume, Err: errors.New("it has no read-only site"),
			Advice: "run starter setup, or vos addsite"}
	}
	client, err := b.listen()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var wg sync.WaitGroup
	for _, s := range append(slices.Clone(v.sites), v.rw) {
		wg.Go(func() {
			id := e.RO
			if s == v.rw {
				id = e.RW
			}
			limit := readTime
			if earlier.silent(s.Server) {
				limit = again
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			data, err := client.Volume(s.Server, id).ReadFile(ctx, tree.ServedPath, 1<<20)
			switch {
			case s == v.rw && errors.Is(err, afsread.ErrNoVolume): // it may hold anything
				s.Err = &fault.Error{Kind: fault.Unavailable, Op: "afs: look at site", Subject: s.name(), Err: err}
			case errors.Is(err, fault.Gone): // released before the tree had anything, or never
			case err != nil:
				s.Err = err
			default:
				s.Held, s.Err = tree.ParseServed(data, b.Volume+" at "+s.name())
			}
			if s.Err == nil && s.Held.Number > 0 && s.Held.Tree != b.Tree {
				s.Err = &fault.Error{Kind: fault.WrongStorage, Op: "afs: look at site", Subject: s.name(),
					Err: fmt.Errorf("it holds tree %s, not %s", s.Held.Tree, b.Tree), Advice: "check volume-prefix and the mount point of the tree"}
			}
			if s.Err != nil {
				s.Held = tree.Served{}
			}
		})
	}
	wg.Wait()
	v.distrust()
	return v, ctx.Err()
}

// distrust marks sites that have a part of a release which broke off: the
// database calls them old, but their generation.json is new. Such a site serves
// neither generation whole. When the tree has moved on since, the note of what
// the site had before tells that part from an older generation.
func (v *view) distrust() {
	top := v.rw.Held.Number
	for _, s := range v.sites {
		if s.State != vos.OldRelease && s.State != vos.NotReleased {
			top = max(top, s.Held.Number)
		}
	}
	for _, s := range v.sites {
		switch has := s.Held.Number; {
		case has == 0 || has > top:
		case s.State == vos.NotReleased: // what an earlier life left there: clients are led away from it
			s.Held = tree.Served{}
		case s.State == vos.OldRelease && (has == top || v.b.torn(s)):
			s.Err = &fault.Error{Kind: fault.Unavailable, Op: "afs: look at site", Subject: s.name(),
				Err:    fmt.Errorf("it has a part of generation %d: a release to it broke off", has),
				Advice: "the next cycle tries again; see whether its partition is full (vos partinfo)"}
			s.Held = tree.Served{}
		}
	}
}

// silent tells whether a server did not answer.
func (v *view) silent(server netip.Addr) bool {
	return v != nil && slices.ContainsFunc(append(slices.Clone(v.sites), v.rw), func(s *site) bool { return s.Server == server && errors.Is(s.Err, afsread.ErrSilent) })
}

// acceptable refuses to release: another tree, an older generation than a
// site has, or one whose number a site has with another content.
func (v *view) acceptable(want tree.Served) error {
	for _, s := range append(slices.Clone(v.sites), v.rw) {
		if errors.Is(s.Err, fault.WrongStorage) {
			return s.Err
		}
	}
	for _, s := range v.sites {
		if s.Held.Number > want.Number {
			return &fault.Error{Kind: fault.Stale, Op: "afs: publish", Subject: s.name(),
				Err:    fmt.Errorf("the site holds generation %d, the tree's newest verified one is %d", s.Held.Number, want.Number),
				Advice: "restore the newer tree from a backup"}
		}
		if s.Held.Number == want.Number && s.Held.Manifest != want.Manifest {
			return &fault.Error{Kind: fault.WrongStorage, Op: "afs: publish", Subject: s.name(),
				Err:    fmt.Errorf("generation %d has manifest %s at the site and %s in the tree", want.Number, s.Held.Manifest, want.Manifest),
				Advice: "two copies of the tree went on separately: keep one, and rebuild the region"}
		}
	}
	return nil
}

// releasable refuses a read-write volume that does not hold generation want:
// what is released is what is there, not what was verified before.
func (v *view) releasable(want int64) error {
	if v.rw.Err != nil {
		return fmt.Errorf("afs: look at the read-write volume: %w", v.rw.Err)
	}
	if v.rw.Held.Number != want {
		return &fault.Error{Kind: fault.Unavailable, Op: "afs: publish", Subject: v.b.Volume,
			Err:    fmt.Errorf("the read-write volume at %s holds generation %d, verified is %d", v.rw.name(), v.rw.Held.Number, want),
			Advice: "the next cycle verifies and releases it"}
	}
	return nil
}

// behind lists the sites that do not hold want; reachable tells whether one of
// them answers, so that a release could help.
func (v *view) behind(want int64) (sites []*site, reachable bool) {
	for _, s := range v.sites {
		if !s.holds(want) {
			sites = append(sites, s)
			reachable = reachable || !v.silent(s.Server)
		}
	}
	return sites, reachable
}

func (v *view) flagged() bool {
	return slices.ContainsFunc(v.sites, func(s *site) bool { return s.State == vos.NewRelease || s.State == vos.OldRelease })
}

// held maps each site's name to the generation that it holds.
func (v *view) held() map[string]int64 {
	out := map[string]int64{}
	for _, s := range v.sites {
		out[s.name()] = s.Held.Number
	}
	return out
}

// siteOf finds the site of a region.
func (v *view) siteOf(r Region) (*site, error) {
	addrs, err := addresses(r.Server)
	var lookup *net.DNSError
	if errors.As(err, &lookup) && !lookup.IsNotFound {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "afs: find region", Subject: r.Name, Err: err, Advice: "check this host's name servers"}
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "afs: find region", Subject: r.Name, Err: err, Advice: "write a server that this host can resolve, or its address"}
	}
	for _, s := range v.sites {
		if s.Partition == r.Partition && slices.Contains(addrs, s.Server) {
			return s, nil
		}
	}
	return nil, &fault.Error{Kind: fault.Config, Op: "afs: find region", Subject: r.Name,
		Err:    fmt.Errorf("volume %s has no read-only site at %s, partition %s", v.b.Volume, r.Server, r.Partition),
		Advice: "run starter setup, or vos addsite"}
}

func addresses(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	texts, err := net.LookupHost(host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out, nil
}

// proveIndexes reads through every site's server the indexes that it should
// have got, and names for each site the first that is not what was verified.
func (b *Backend) proveIndexes(ctx context.Context, src backend.Source, v *view, want *tree.Generation) map[string]error {
	if b.part {
		return nil
	}
	client, err := b.listen()
	if err != nil {
		return map[string]error{"": err}
	}
	defer client.Close()
	var mu sync.Mutex
	var wg sync.WaitGroup
	wrong := map[string]error{}
	for _, s := range v.sites {
		had, owed := b.owed(s)
		if !owed || !s.holds(want.Number) {
			continue
		}
		wg.Go(func() {
			volume := client.Volume(s.Server, v.entry.RO)
			err := changedIndexes(ctx, src, had, want, func(e manifest.Entry) error {
				h := sha256.New()
				if err := volume.Copy(ctx, e.Path, h); err != nil {
					return err
				}
				if manifest.Digest(h.Sum(nil)) != e.Digest {
					return &fault.Error{Kind: fault.Corrupt, Op: "afs: prove index", Subject: e.Path, Err: errors.New("the site serves other bytes than were verified")}
				}
				return nil
			})
			if err == nil {
				err = b.paid(s)
			}
			if err != nil {
				mu.Lock()
				wrong[s.name()] = fmt.Errorf("afs: prove generation %d at %s: %w", want.Number, s.name(), err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return wrong
}

// changedIndexes calls f for every index of want that had lacks or has
// otherwise; for all of them if had's manifest is not known any more.
func changedIndexes(ctx context.Context, src backend.Source, had tree.Served, want *tree.Generation, f func(manifest.Entry) error) error {
	open := func(s tree.Served) (*manifest.Manifest, error) {
		id, err := s.ManifestID()
		if err != nil {
			return nil, err
		}
		return manifest.Open(src, id)
	}
	next, err := open(want.Served)
	if err != nil {
		return err
	}
	old, err := manifest.Open(src, manifest.ID{})
	if err != nil {
		return err
	}
	if had.Number > 0 {
		if known, err := open(had); err == nil {
			old = known
		}
	}
	for d, err := range manifest.Diff(old, next) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && d.New != nil && d.New.Kind.IsIndex() {
			err = f(*d.New)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blame hands the reasons why a release failed to the sites that it failed at.
func (v *view) blame(wrong map[string]error, failure error, want int64) {
	for _, s := range v.sites {
		switch {
		case wrong[s.name()] != nil:
			s.Err, s.Held = wrong[s.name()], tree.Served{} // clients get something that nobody verified
		case wrong[""] != nil && s.Err == nil:
			s.Err = wrong[""]
		case !s.holds(want) && failure != nil && s.Err != nil:
			s.Err = fmt.Errorf("%w; %w", s.Err, failure) // what was seen of the site tells more
		case !s.holds(want) && failure != nil:
			s.Err = failure
		}
	}
}

func stateText(s vos.SiteState) string {
	if s == vos.Current {
		return "the database has no open release for it"
	}
	return "the database says " + string(s)
}
