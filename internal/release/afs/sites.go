package afs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// logLimit is how many records a site's ledger may have before it is shortened:
// so many that what is left of them still proves the longest wait.
func (b *Backend) logLimit() int {
	if b.Policy.Every <= 0 {
		return 2000
	}
	return max(2000, 4*int(b.Policy.Grace/b.Policy.Every))
}

func (b *Backend) sitePath(name string) string { return filepath.Join(b.State, "sites", name) }

func readLog(name string) ([]ledger.Record, error) {
	texts, err := journal.Read(name)
	if err != nil {
		return nil, err
	}
	var out []ledger.Record
	for _, t := range texts {
		r, err := ledger.ParseRecord(t)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (b *Backend) append(site string, event ledger.Event, gen int64) error {
	name := b.sitePath(site)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("afs: write the ledger: %w", err)
	}
	log, err := readLog(name)
	if err != nil {
		return err
	}
	if short := ledger.Compact(log, b.logLimit(), b.Policy.Every); len(short) < len(log) {
		var texts []string
		for _, r := range short {
			texts = append(texts, r.String())
		}
		if err := journal.Rewrite(name, texts); err != nil {
			return err
		}
	}
	b.Crash("ledger")
	return journal.Append(name, ledger.Record{Time: b.Now(), Event: event, Gen: gen}.String())
}

// intend notes for every site, named by the spec or not, that it may serve gen from now on.
func (b *Backend) intend(v *view, gen int64) error {
	for _, s := range v.sites {
		if err := b.append(s.name(), ledger.Intent, gen); err != nil {
			return err
		}
	}
	return nil
}

// note records what was seen of sites that no region names, for nobody probes
// an URL for them, and that those which the database has lost serve nobody.
func (b *Backend) note(v *view) error {
	if b.Unchecked {
		return nil
	}
	named := map[string]bool{}
	unknown := false // whether a site is a region's
	for _, r := range b.Regions {
		s, err := v.siteOf(r)
		if err == nil {
			named[s.name()] = true
		}
		unknown = unknown || errors.Is(err, fault.Unavailable)
	}
	known := map[string]bool{}
	for _, s := range v.sites {
		known[s.name()] = true
		if unknown || named[s.name()] || s.Err != nil || s.Held.Number == 0 {
			continue
		}
		if err := b.confirm(s, s.Held.Number); err != nil {
			return err
		}
	}
	return b.retire(known)
}

func (b *Backend) retire(known map[string]bool) error {
	files, err := os.ReadDir(filepath.Join(b.State, "sites"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if known[f.Name()] || strings.HasSuffix(f.Name(), ".new") {
			continue
		}
		log, err := readLog(b.sitePath(f.Name()))
		if err != nil {
			return err
		}
		if len(log) == 0 {
			continue
		}
		last := log[len(log)-1]
		if last.Event == ledger.Retired && !b.waiting() {
			continue
		}
		if err := b.append(f.Name(), ledger.Retired, last.Gen); err != nil {
			return err
		}
	}
	return err
}

// Confirm implements backend.Backend. A region counts as serving what both
// its site and its URL were seen to serve: clients of a site that missed a
// release are led to other sites, and may be led back.
func (b *Backend) Confirm(ctx context.Context, region string, n int64) error {
	i := slices.IndexFunc(b.Regions, func(r Region) bool { return r.Name == region })
	if i < 0 || n <= 0 {
		return &fault.Error{Kind: fault.Config, Op: "afs: confirm", Subject: b.Volume,
			Err: fmt.Errorf("generation %d of region %q", n, region), Advice: "report this as a bug"}
	}
	v, err := b.look(ctx, nil)
	if err != nil {
		return err
	}
	s, err := v.siteOf(b.Regions[i])
	if err == nil {
		err = s.Err
	}
	if err != nil || s.Held.Number == 0 {
		return err
	}
	return b.confirm(s, min(n, s.Held.Number))
}

// confirm records that a site serves gen, if that tells anything new: while
// objects wait to be deleted each look at the site counts. A site that the
// database calls old may have a part of the release that broke off, and its
// generation.json with it: it counts only as what it was seen to serve before,
// and so does one whose indexes were not proved yet.
func (b *Backend) confirm(s *site, gen int64) error {
	site := s.name()
	log, err := readLog(b.sitePath(site))
	if err != nil {
		return err
	}
	if doubtful := s.State == vos.OldRelease || b.torn(s); doubtful && !served(log, gen) {
		return nil
	}
	if n := len(log); n > 0 && log[n-1].Event == ledger.Serves && log[n-1].Gen == gen && !b.waiting() {
		return nil
	}
	return b.append(site, ledger.Serves, gen)
}

// served reports whether a site's ledger has it serve gen, or a newer one.
func served(log []ledger.Record, gen int64) bool {
	return slices.ContainsFunc(log, func(r ledger.Record) bool { return r.Event == ledger.Serves && r.Gen >= gen })
}

// seen reports whether a site is known to have served gen whole.
func (b *Backend) seen(s *site, gen int64) bool {
	log, err := readLog(b.sitePath(s.name()))
	return err == nil && served(log, gen)
}

// waiting reports whether dropped objects wait in the tree.
func (b *Backend) waiting() bool {
	drops, err := tree.Numbered(filepath.Join(b.State, "drops"), "")
	return err != nil || len(drops) > 0
}

// Due returns what promise 1 says of the tree of an AFS volume: whether what
// generation n dropped may be deleted. All sites in the database count, and
// those that it has lost, until their clients' wait is over.
func (b *Backend) Due(ctx context.Context) (func(n int64) (due bool, because string), error) {
	e, err := b.entry(ctx)
	if err != nil {
		return nil, err
	}
	store := ledger.Store{Sites: map[string][]ledger.Record{}}
	for _, s := range e.Sites {
		if s.ReadOnly {
			store.Sites[siteName(s.Server, s.Partition)] = nil
		}
	}
	files, err := os.ReadDir(filepath.Join(b.State, "sites"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("afs: read the ledgers: %w", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".new") {
			continue
		}
		log, err := readLog(b.sitePath(f.Name()))
		if err != nil {
			return nil, err
		}
		// A site that the database has again answers again: with what, nobody has seen yet.
		if _, back := store.Sites[f.Name()]; back && len(log) > 0 && log[len(log)-1].Event == ledger.Retired {
			log = nil
		}
		store.Sites[f.Name()] = log
	}
	p := ledger.Policy{Wait: b.Policy.Grace, Every: b.Policy.Every}
	now := b.Now()
	return func(n int64) (bool, string) { return store.Due(n, now, p) }, nil
}

const (
	reapedMemo  = "memo/reaped"
	carriedMemo = "memo/carried"
)

// Purged notes that objects were deleted from the tree, which a release of
// each of its volumes has to carry out.
func (b *Backend) Purged() error {
	states := []string{b.State}
	for _, part := range b.Parts {
		states = append(states, b.partState(part))
	}
	for _, state := range states {
		name := filepath.Join(state, reapedMemo)
		if _, ok := noted(name); ok {
			continue
		}
		if _, err := writeNote(name, b.Now()); err != nil {
			return fmt.Errorf("afs: note deletions: %w", err)
		}
	}
	return nil
}

func (b *Backend) partState(volume string) string { return filepath.Join(b.State, "parts", volume) }

func (b *Backend) purgedAt() (time.Time, bool) {
	if at, ok := noted(filepath.Join(b.State, carriedMemo)); ok {
		return at, true
	}
	return noted(filepath.Join(b.State, reapedMemo))
}

// purgeDue reports whether deletions have waited for a release for long enough.
func (b *Backend) purgeDue() bool {
	at, ok := b.purgedAt()
	return ok && b.Purge > 0 && b.Now().Sub(at) >= b.Purge
}

// carry sets apart the note of deletions that the release which begins now
// carries out: those from now on are noted anew.
func (b *Backend) carry() error {
	from, to := filepath.Join(b.State, reapedMemo), filepath.Join(b.State, carriedMemo)
	if _, ok := noted(to); ok { // a release that failed; this one carries out both
		return remove(from)
	}
	if err := durable.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("afs: note deletions: %w", err)
	}
	return nil
}

// purged forgets deletions that a release carried out.
func (b *Backend) purged() error { return remove(filepath.Join(b.State, carriedMemo)) }

// removeLate takes sites out of the database that stayed behind for longer
// than the spec allows: until then no dropped object may be deleted, and
// clients cannot fail over to them. While no site is known to have the newest
// generation, none is removed: the fault may be this host's, and the last sites
// that answer clients would go.
func (b *Backend) removeLate(ctx context.Context, v *view) error {
	if err := b.forgetGone(v); err != nil {
		return err
	}
	newest := v.newest()
	whole := slices.ContainsFunc(v.sites, func(s *site) bool { return newest > 0 && s.holds(newest) })
	for _, s := range v.sites {
		name := b.path("behind", s.name())
		if s.holds(newest) {
			if err := remove(name); err != nil {
				return err
			}
			continue
		}
		if b.Unchecked {
			continue // by a wrong clock any time is up, and what it wrote would be believed later
		}
		since, err := b.since(name)
		if err != nil {
			return err
		}
		if b.Remove == 0 || !whole || b.Now().Sub(since) < b.Remove {
			continue
		}
		if err := b.Cell.change(ctx, "remsite", "-server", s.Server.String(), "-partition", s.Partition, "-id", b.Volume); err != nil {
			s.Err = fmt.Errorf("afs: remove site %s, behind since %s: %w", s.name(), since.Format(time.RFC3339), err)
			continue // the site's own trouble: the others have their outcomes
		}
		if err := remove(name); err != nil {
			return err
		}
	}
	return nil
}

// forgetGone removes the notes of sites that the database does not have: one
// that comes back has not been behind since then.
func (b *Backend) forgetGone(v *view) error {
	files, err := os.ReadDir(b.path("behind"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("afs: read the notes of sites that are behind: %w", err)
	}
	for _, f := range files {
		if !slices.ContainsFunc(v.sites, func(s *site) bool { return s.name() == f.Name() }) {
			if err := remove(b.path("behind", f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// since returns the time in a note, which it makes if there is none.
func (b *Backend) since(name string) (time.Time, error) {
	if at, ok := noted(name); ok {
		return at, nil
	}
	return writeNote(name, b.Now())
}

// noted returns the time in a note. One that was cut off while it was written is none.
func noted(name string) (time.Time, bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(data)))
	return at, err == nil
}

func writeNote(name string, now time.Time) (time.Time, error) {
	now = now.UTC()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return now, err
	}
	return now, os.WriteFile(name, []byte(now.Format(time.RFC3339Nano)+"\n"), 0o644)
}

func (v *view) newest() int64 {
	var top int64
	for _, s := range v.sites {
		top = max(top, s.Held.Number)
	}
	return top
}
