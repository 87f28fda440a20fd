package dir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// TestRollbackOfPartsAndTwice: apt judges each suite by itself, and after two
// rollbacks in a row some clients hold what the first of them showed. What any
// of these names stays until a later Release of its suite is served.
func TestRollbackOfPartsAndTwice(t *testing.T) {
	days := func(n int) time.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }
	two := func(a, b int) map[string]time.Time { return map[string]time.Time{"a": days(a), "b": days(b)} }
	type step struct {
		dates map[string]time.Time
		names string // the object that this generation names alone
	}
	for name, c := range map[string]struct {
		before []step
		wanted []string // objects that must stay for long
		after  step     // a release that ends it
	}{
		"one of two suites": {[]step{{two(9, 1), "pool/1"}, {two(9, 2), "pool/2"}, {two(9, 1), "pool/1"}}, []string{"pool/2"}, step{two(9, 3), "pool/3"}},
		"two rollbacks": {[]step{{two(1, 1), "pool/1"}, {two(2, 2), "pool/2"}, {two(3, 3), "pool/3"}, {two(2, 2), "pool/2"}, {two(1, 1), "pool/1"}},
			[]string{"pool/2", "pool/3"}, step{two(4, 4), "pool/4"}},
		"and an older one after it": {[]step{{two(1, 1), "pool/1"}, {two(5, 5), "pool/5"}, {two(1, 1), "pool/1"}, {two(2, 2), "pool/2"}},
			[]string{"pool/5"}, step{two(6, 6), "pool/6"}},
	} {
		t.Run(name, func(t *testing.T) {
			region, _ := setup(t)
			now := begin
			open := func() *dir.Region {
				return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: "demo", Tree: treeID, Now: func() time.Time { return now },
					Policy: backend.Policy{Grace: 2 * time.Hour, Keep: time.Hour, Every: time.Hour}})
			}
			src := &origin{bytes: func(manifest.Entry) []byte { return []byte("x") }}
			release := func(s step, hours int) {
				t.Helper()
				src.gen.Upstream.Suites = s.dates
				src.next(t, entries(object(s.names, "x")))
				if _, err := open().Publish(t.Context(), src); err != nil {
					t.Fatal(err)
				}
				for range hours {
					if err := open().Confirm(t.Context(), "dfw", src.gen.Number); err != nil {
						t.Fatal(err)
					}
					if _, err := open().Reap(t.Context()); err != nil {
						t.Fatal(err)
					}
					now = now.Add(time.Hour)
				}
			}
			are := func(want bool, when string) {
				t.Helper()
				for _, p := range c.wanted {
					if _, err := os.Stat(filepath.Join(region, "demo", p)); (err == nil) != want {
						t.Errorf("%s: %s is there: %v, want %v", when, p, err == nil, want)
					}
				}
			}
			for i, s := range c.before {
				hours := 1
				if i == len(c.before)-1 {
					hours = 100
				}
				release(s, hours)
			}
			are(true, "long after")
			release(c.after, 2)
			are(true, "within the wait")
			release(c.after, 3)
			are(false, "after the wait")
		})
	}
}
