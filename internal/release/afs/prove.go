package afs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/tree"
)

// owe notes for every site that is about to get gen what it had before: until
// its indexes were proved, whoever comes later has to prove them. What is still
// unproved from an earlier release leaves nothing to compare with.
func (b *Backend) owe(v *view, gen int64) error {
	if b.part {
		return nil
	}
	for _, s := range v.sites {
		had := s.Held
		if s.holds(gen) {
			continue
		}
		if _, owed := b.owed(s); owed && errors.Is(s.Err, afsread.ErrSilent) {
			continue // it had that when it was heard last
		}
		if b.torn(s) {
			had = tree.Served{}
		}
		data, err := json.Marshal(had)
		if err != nil {
			return err
		}
		name := b.path("unproved", s.name())
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("afs: note what is to be proved: %w", err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("afs: note what is to be proved: %w", err)
		}
	}
	return nil
}

// owed returns what a site had before releases that were not proved there. A
// note that cannot be read leaves everything to be proved.
func (b *Backend) owed(s *site) (had tree.Served, owed bool) {
	data, err := os.ReadFile(b.path("unproved", s.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return had, false
	}
	if err != nil || json.Unmarshal(data, &had) != nil {
		had = tree.Served{}
	}
	return had, true
}

// torn reports whether a release that was not proved changed what a site has.
// Of a site that was silent then only the ledger may know what it had.
func (b *Backend) torn(s *site) bool {
	had, owed := b.owed(s)
	return owed && had.Number != s.Held.Number && !b.seen(s, s.Held.Number)
}

// paid forgets what a site had before a release that was proved there.
func (b *Backend) paid(s *site) error { return remove(b.path("unproved", s.name())) }
