package afs_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/release/afs"
)

const entryOfOne = `
mirror.m
    RWrite: 1     ROnly: 2
    number of sites -> 2
       server 192.0.2.1 partition /vicepa RW Site
       server 192.0.2.2 partition /vicepa RO Site
`

// quiet is a backend of a cell that only its database is asked of.
func quiet(t *testing.T, now *time.Time) afs.Options {
	t.Helper()
	return afs.Options{Cell: afs.Cell{Name: "example.org", Enter: []string{"sh", "-c", "cat <<'E'\n" + entryOfOne + "E\n"}}, Volume: "mirror.m", Mirror: "m",
		Tree: "m-1", State: t.TempDir(), Policy: backend.Policy{Grace: time.Hour, Every: time.Hour}, Purge: time.Hour, Now: func() time.Time { return *now }}
}

// TestSiteThatComesBack: a site that had retired and is in the database again
// answers clients, with what nobody has seen.
func TestSiteThatComesBack(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		log  []string
		due  bool
	}{
		{"served for long enough", []string{"2026-01-01T22:00:00Z serves 5"}, true},
		{"retired before it came back", []string{"2026-01-01T20:00:00Z serves 5", "2026-01-01T22:00:00Z retired 5"}, false},
		{"seen since it came back", []string{"2026-01-01T20:00:00Z retired 3", "2026-01-01T22:00:00Z serves 5"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := quiet(t, &now)
			if err := os.MkdirAll(filepath.Join(o.State, "sites"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, r := range tc.log {
				if err := journal.Append(filepath.Join(o.State, "sites", "192.0.2.2-a"), r); err != nil {
					t.Fatal(err)
				}
			}
			due, err := afs.New(o).Due(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, because := due(5); got != tc.due {
				t.Errorf("due: %v %q", got, because)
			}
		})
	}
}

// TestShortCyclesProveLongWaits: a ledger is never shortened so far that what
// is left of it cannot prove the wait, or nothing would ever be deleted.
func TestShortCyclesProveLongWaits(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	o := quiet(t, &now)
	o.Policy = backend.Policy{Grace: 72 * time.Hour, Every: time.Minute}
	name := filepath.Join(o.State, "sites", "192.0.2.2-a")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	var log []string
	for at := now; now.Sub(at) < o.Policy.Grace; at = at.Add(-o.Policy.Every) {
		log = append(log, ledger.Record{Time: at, Event: ledger.Serves, Gen: 5}.String())
	}
	slices.Reverse(log)
	if err := journal.Rewrite(name, log); err != nil {
		t.Fatal(err)
	}
	b := afs.New(o)
	now = now.Add(o.Policy.Every)
	if err := b.Seen("192.0.2.2-a", 5); err != nil {
		t.Fatal(err)
	}
	due, err := b.Due(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ok, because := due(5); !ok {
		t.Errorf("not due: %s", because)
	}
}

// TestDeletionsAreNoted for each volume of a tree, also where an earlier note
// was cut off while it was written.
func TestDeletionsAreNoted(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	o := quiet(t, &now)
	o.Parts = []string{"mirror.m.pool"}
	names := []string{filepath.Join(o.State, "memo", "reaped"), filepath.Join(o.State, "parts", "mirror.m.pool", "memo", "reaped")}
	if err := os.MkdirAll(filepath.Dir(names[0]), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[0], nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := afs.New(o).Purged(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if err := afs.New(o).Purged(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if data, err := os.ReadFile(name); strings.TrimSpace(string(data)) != "2026-01-02T00:00:00Z" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

// TestOneRunAtATime: a run that nobody ended would never be looked at again,
// nor the lock that it leaves, if a second one began.
func TestOneRunAtATime(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	b := afs.New(quiet(t, &now))
	if err := b.Begin(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(t.Context(), 1); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a second run beside the first: %v", err)
	}
}

// TestLateSitesAreRemoved, but never the last ones that may answer clients.
func TestLateSitesAreRemoved(t *testing.T) {
	for _, tc := range []struct {
		name          string
		before, after []int64
		removed       string // parts of the servers' addresses
	}{
		{"one stays behind", []int64{7, 6, 7}, []int64{7, 6, 7}, "192.0.2.2"},
		{"it has come up meanwhile", []int64{7, 6, 7}, []int64{7, 7, 7}, ""},
		{"no site answers this host", []int64{0, 0, 0}, []int64{0, 0, 0}, ""},
		{"it was away and came back", []int64{7, 6}, []int64{7}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
			o := quiet(t, &now)
			said := filepath.Join(t.TempDir(), "said")
			o.Remove, o.Cell.Localauth, o.Cell.Enter = time.Hour, true, []string{"sh", "-c", `echo "$@" >> ` + said, "sh"}
			b := afs.New(o)
			for _, held := range [][]int64{tc.before, tc.after} {
				if err := b.RemoveLate(t.Context(), held...); err != nil {
					t.Fatal(err)
				}
				now = now.Add(2 * time.Hour)
			}
			if tc.name == "it was away and came back" {
				if err := b.RemoveLate(t.Context(), tc.before...); err != nil {
					t.Fatal(err)
				}
			}
			data, _ := os.ReadFile(said)
			if text := string(data); (tc.removed == "") != (text == "") || strings.Count(text, "remsite") > 1 || !strings.Contains(text, tc.removed) {
				t.Errorf("vos was asked for %q, want %q removed", text, tc.removed)
			}
		})
	}
}

// TestNoSiteIsRemovedByAnUncheckedClock: one that is wrong by a year would take
// out of the database whatever was behind for a minute.
func TestNoSiteIsRemovedByAnUncheckedClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	o := quiet(t, &now)
	said := filepath.Join(t.TempDir(), "said")
	o.Remove, o.Cell.Localauth, o.Cell.Enter = time.Hour, true, []string{"sh", "-c", `echo "$@" >> ` + said, "sh"}
	remove := func(unchecked bool) string {
		t.Helper()
		o.Unchecked = unchecked
		if err := afs.New(o).RemoveLate(t.Context(), 7, 6, 7); err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(said)
		return string(data)
	}
	remove(false)
	now = now.AddDate(1, 0, 0)
	if text := remove(true); text != "" {
		t.Errorf("by a clock that jumped ahead: vos was asked for %q", text)
	}
	now = now.AddDate(-11, 0, 1)
	if err := os.RemoveAll(filepath.Join(o.State, "release")); err != nil {
		t.Fatal(err)
	}
	remove(true) // begins to count
	now = now.AddDate(10, 0, 0)
	if text := remove(false); text != "" {
		t.Errorf("since a clock that was behind: vos was asked for %q", text)
	}
}

// TestNoResolver: while this host cannot ask for names, nobody knows which site
// is a region's, whose URL has to be seen as well; that passes.
func TestNoResolver(t *testing.T) {
	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "udp", Err: syscall.ENETUNREACH}
	}}
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	seven := src.next(t, 7, "seven")
	p.holds("192.0.2.1", 1, seven, "seven")
	p.holds("192.0.2.2", 2, seven, "seven")
	o := p.options()
	o.Regions = []afs.Region{{Name: "dfw", Server: "afs01.example.org", Partition: "a"}}
	out := p.publish(o, src)
	if out[0].Region != "dfw" || out[0].Kind != string(fault.Unavailable) {
		t.Errorf("what passes by itself: %+v", out[0])
	}
	if log, err := journal.Read(filepath.Join(o.State, "sites", "192.0.2.2-a")); err != nil || len(log) > 0 {
		t.Errorf("the site of a region counts though nobody saw its URL: %q, %v", log, err)
	}
}

// TestNoVos: programs that are not installed are not waited for.
func TestNoVos(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	now := time.Now()
	o := quiet(t, &now)
	o.Cell.Enter = nil
	if _, err := afs.New(o).Serving(t.Context()); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "install") {
		t.Errorf("%v", err)
	}
}
