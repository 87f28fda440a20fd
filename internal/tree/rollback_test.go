package tree_test

import (
	"crypto/sha256"
	"errors"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// TestRollbackWantsTheVeryBytes: an object that upstream replaced under its
// name is not there any more, also if the new one is as long.
func TestRollbackWantsTheVeryBytes(t *testing.T) {
	first := content{"pool/a.deb": "old", "pool/b.deb": "b", "dists/Release": "1"}
	for name, tc := range map[string]struct {
		life []content
		kind error
	}{
		"replaced":                  {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}}, fault.Gone},
		"replaced and then dropped": {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}, {"dists/Release": "3"}}, fault.Gone},
		"dropped":                   {[]content{first, {"pool/b.deb": "b", "dists/Release": "2"}, {"dists/Release": "3"}}, nil},
		"replaced twice":            {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}, {"pool/a.deb": "old", "dists/Release": "3"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, setup(t))
			for _, c := range tc.life {
				if err := errors.Join(replace(tr, c), commit(tr, c)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tr.Rollback(t.Context(), 1, 0); !errors.Is(err, tc.kind) {
				t.Errorf("got %v, want %v", err, tc.kind)
			}
		})
	}
}

func paths(t *testing.T, tr *tree.Tree, n int64) iter.Seq[string] {
	return func(yield func(string) bool) {
		for e, err := range tr.DropsOf(n) {
			if err != nil {
				t.Fatal(err)
			}
			if !yield(e.Path) {
				return
			}
		}
	}
}

// replace lands every object of c over what is there.
func replace(tr *tree.Tree, c content) error {
	for p, data := range c {
		if kindOf(p).IsIndex() {
			continue
		}
		f, err := tr.Create()
		if err == nil {
			_, err = f.WriteString(data)
		}
		if err == nil {
			err = f.Land(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestRollbackPinsTheNewerRelease: apt keeps a Release that is newer than the
// one it is shown, and goes on asking for what that names, until an even newer
// one is out and its wait is over.
func TestRollbackPinsTheNewerRelease(t *testing.T) {
	dir := setup(t)
	tr := open(t, dir)
	day := func(n int) tree.Upstream {
		return tree.Upstream{Date: time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC)}
	}
	dated := func(c content, u tree.Upstream) {
		t.Helper()
		var entries []manifest.Entry
		for _, p := range slices.Sorted(maps.Keys(c)) {
			e := manifest.Entry{Path: p, Kind: kindOf(p), Size: int64(len(c[p])), Digest: sha256.Sum256([]byte(c[p]))}
			if err := put(tr, e, c[p]); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		m, err := manifest.Write(tr, func(yield func(manifest.Entry, error) bool) {
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		})
		if err == nil {
			_, err = tr.Commit(t.Context(), tree.CommitRequest{Manifest: m, Upstream: u})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tend := func(upTo int64, want map[string]bool) {
		t.Helper()
		if _, _, err := tr.Tend(t.Context(), time.Now().Add(1000*time.Hour), time.Hour, func(n int64) bool { return n <= upTo }); err != nil {
			t.Fatal(err)
		}
		for p, want := range want {
			if _, there, err := tr.Stat(p); there != want || err != nil {
				t.Errorf("%s: there %v, %v; want %v", p, there, err, want)
			}
		}
	}
	dated(content{"pool/a.deb": "a", "dists/Release": "1"}, day(1))
	dated(content{"pool/b.deb": "b", "pool/lost.deb": "lost", "dists/Release": "2"}, day(2))
	if _, err := tr.Rollback(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	tend(3, map[string]bool{"pool/a.deb": true, "pool/b.deb": true, "pool/lost.deb": true})
	if err := os.Remove(filepath.Join(dir, "tree/pool/lost.deb")); err != nil {
		t.Fatal(err)
	}
	dated(content{"pool/a.deb": "a", "dists/Release": "4"}, day(1))
	tend(4, map[string]bool{"pool/a.deb": true, "pool/b.deb": true})
	dated(content{"pool/c.deb": "c", "dists/Release": "5"}, day(3))
	tend(4, map[string]bool{"pool/a.deb": true, "pool/b.deb": true, "pool/c.deb": true})
	if drops := slices.Collect(paths(t, tr, 5)); !slices.Equal(drops, []string{"pool/a.deb", "pool/b.deb"}) {
		t.Errorf("the newest Release waits with %v", drops)
	}
	tend(5, map[string]bool{"pool/a.deb": false, "pool/b.deb": false, "pool/c.deb": true})
}

// TestNewerThan judges each suite by itself, as apt does.
func TestNewerThan(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	two := func(a, b int) tree.Upstream {
		return tree.Upstream{Date: day(max(a, b)), Suites: map[string]time.Time{"a": day(a), "b": day(b)}}
	}
	one := tree.Upstream{Date: day(9), Suites: map[string]time.Time{"a": day(9)}}
	for name, c := range map[string]struct {
		u, v tree.Upstream
		want bool
	}{
		"the same":                         {two(1, 2), two(1, 2), false},
		"one suite":                        {two(9, 2), two(9, 1), true},
		"one suite, the other is older":    {two(1, 2), two(9, 1), true},
		"all older":                        {two(1, 1), two(2, 2), false},
		"a suite that is not mirrored now": {two(9, 9), one, false},
		"an older version's, newer":        {tree.Upstream{Date: day(3)}, two(1, 2), true},
		"an older version's, older":        {tree.Upstream{Date: day(1)}, two(1, 2), false},
	} {
		if got := c.u.NewerThan(c.v); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
