package apt_test

import (
	"errors"
	"strings"
	"testing"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// TestIndexesNeedRoom: indexes that the disk has no room for are refused before
// their first byte, with one error for the whole plan.
func TestIndexesNeedRoom(t *testing.T) {
	const petabyte = 1 << 50
	listing := func(paths ...string) func(*debrepo.Release) {
		return func(r *debrepo.Release) {
			for _, p := range paths {
				r.Files = append(r.Files, debrepo.File{Path: p, Size: petabyte, Hashes: debrepotest.Digests([]byte(p))})
			}
		}
	}
	keeping := func(minFree int64) func(*apt.Config) {
		return func(c *apt.Config) {
			c.Room = func(t *tree.Tree) (int64, error) { return t.Room(minFree) }
		}
	}
	full := keeping(petabyte)
	for name, c := range map[string]struct {
		release func(*debrepo.Release)
		config  func(*apt.Config)
		text    string
	}{
		"Contents larger than the disk": {listing("main/Contents-amd64.gz"), keeping(0), "1125899906"},
		"no other form of it":           {listing("main/Contents-amd64"), keeping(0), "1125899906"},
		"what is to stay free is gone":  {nil, full, "room for 0 beside"},
		"installer files": {listing("main/installer-amd64/current/images/SHA256SUMS"),
			func(c *apt.Config) {
				keeping(0)(c)
				c.Indexes = []string{"all", "installer"}
			}, "1125899906"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.config)
			s.forge(forged{plain: stanza(deb("a", "1"), nil), release: c.release})
			r := s.cycle()
			if !errors.Is(r.Err, fault.NoSpace) || !strings.Contains(r.Err.Error(), c.text) || !strings.Contains(r.Err.Error(), "bytes of indexes to fetch") {
				t.Fatalf("%+v", r)
			}
			if n := s.u.requests(); n != 1 {
				t.Errorf("%d requests, want that for InRelease alone", n)
			}
		})
	}
	t.Run("what is there needs none", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, nil)
		s.publish(good)
		s.forge(forged{plain: stanza(deb("a", "1"), nil)})
		s.mustCycle(t)
		s.engine = s.archive.engine(s.b, full)
		s.forge(forged{plain: stanza(deb("a", "1"), nil)})
		s.mustCycle(t)
	})
}
