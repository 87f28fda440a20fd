package afs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/release/afs"
)

// TestDamageThatStays: what a site serves is proved after the second release as
// after the first, or a copy that stays damaged would count as the generation.
func TestDamageThatStays(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2; echo damage > held/192.0.2.2/2/index\n")
	out := p.publish(p.options(), src)
	if n := p.releases("mirror.m"); n != 2 {
		t.Errorf("%d releases, want another one because of the damage", n)
	}
	if out[0].Kind != string(fault.Corrupt) || out[0].Serves != 0 || !strings.Contains(out[0].Error, "other bytes") {
		t.Errorf("a damaged copy: %+v", out[0])
	}
}

// TestProofOutlivesTheWorker: a release whose worker died before it looked is
// proved by the next one, and a damaged copy is told of for as long as it is there.
func TestProofOutlivesTheWorker(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "", "")
	six := src.next(t, 6, "six")
	p.holds("192.0.2.2", 2, six, "six")
	p.holds("192.0.2.3", 2, six, "six")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	p.write("release.mirror.m", "for s in 2 3; do cp -r held/192.0.2.1/1/. held/192.0.2.$s/2; done; echo damage > held/192.0.2.2/2/index\n")
	o := p.options()
	ctx, die := context.WithCancel(t.Context())
	o.Crash = func(at string) {
		if at == "release/ended" {
			die()
		}
	}
	if out, err := afs.New(o).Publish(ctx, src); err == nil {
		t.Fatalf("it went on: %+v", out)
	}
	o.Crash = nil
	for _, want := range []fault.Kind{fault.Corrupt, fault.Corrupt, ""} {
		if want == "" {
			p.write("held/192.0.2.2/2/index", "seven")
		}
		out := p.publish(o, src)
		if out[0].Kind != string(want) || out[1].Kind != "" || out[1].Serves != 7 {
			t.Errorf("want %q of the first site: %+v", want, out)
		}
	}
	if n := p.releases("mirror.m"); n != 1 {
		t.Errorf("%d releases, want one", n)
	}
	log, err := journal.Read(filepath.Join(o.State, "sites", "192.0.2.2-a"))
	if err != nil || len(log) != 3 { // an intent before, and what was seen at the first and the last look
		t.Errorf("the ledger of the first site: %q, %v", log, err)
	}
}

// TestLaggingSitesCostWhatChanged: of a site that missed a release only those
// indexes are read later that it lacked. One that did not is told by its bytes.
func TestLaggingSitesCostWhatChanged(t *testing.T) {
	for _, silent := range []bool{false, true} {
		p, src := newPaper(t), &sealed{memory: memory{}}
		p.entry("mirror.m", 1, "", "")
		p.entry("old", 1, " -- New release", " -- Old release")
		p.entry("done", 1, "", "")
		six := src.next(t, 6, "same")
		p.holds("192.0.2.2", 2, six, "same")
		p.holds("192.0.2.3", 2, six, "not read")
		o := p.options()
		if silent {
			p.publish(o, src) // sees the sites
			p.write("held/192.0.2.3/off", "")
		} else {
			o.Regions = []afs.Region{{Name: "dfw", Server: "192.0.2.3", Partition: "a"}} // whose URL nobody has seen
		}
		p.holds("192.0.2.1", 1, src.next(t, 7, "same"), "same")
		p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2; sed s/old/mirror.m/ entry.old > entry.mirror.m; echo VOLSER: release could not be completed; exit 1\n")
		p.publish(o, src)
		if err := os.RemoveAll(filepath.Join(p.dir, "held/192.0.2.3/off")); err != nil {
			t.Fatal(err)
		}
		p.holds("192.0.2.1", 1, src.next(t, 8, "same"), "same")
		if out, err := afs.New(o).Serving(t.Context()); err != nil || !slices.ContainsFunc(out, func(o backend.Outcome) bool { return o.Serves == 6 }) {
			t.Errorf("silent %v: the site that lags: %+v, %v", silent, out, err)
		}
		p.write("release.mirror.m", "for s in 2 3; do cp -r held/192.0.2.1/1/.mirror held/192.0.2.$s/2; done; sed s/done/mirror.m/ entry.done > entry.mirror.m\n")
		for _, s := range p.publish(o, src) {
			if s.Kind != "" || s.Serves != 8 {
				t.Errorf("silent %v: %+v", silent, s)
			}
		}
	}
}

// TestPartThatIsAway: a read-write volume of objects that its server has not,
// because it moved or was not attached, holds more than nothing: an index that
// goes out without it names what no site has got.
func TestPartThatIsAway(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	p.entry("mirror.m.pool", 3, "")
	six := src.next(t, 6, "six")
	p.holds("192.0.2.2", 2, six, "six")
	p.holds("192.0.2.2", 4, six, "")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2\n")
	o := p.options()
	o.Parts = []string{"mirror.m.pool"}
	if out, err := afs.New(o).Publish(t.Context(), src); err == nil || p.releases("mirror.m") > 0 {
		t.Errorf("the index went out: %+v, %v", out, err)
	}
	// One that is there, and into which nothing was committed yet, is in nobody's way.
	p.write("held/192.0.2.1/3/.mirror/id", "{}")
	p.publish(o, src)
}

// TestSiteAddedAgain: a site that was taken out of the database and is in it
// again is none for clients before a release, though its server kept the copy.
func TestSiteAddedAgain(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "", " -- Not released")
	seven := src.next(t, 7, "seven")
	for server, id := range map[string]int{"192.0.2.1": 1, "192.0.2.2": 2, "192.0.2.3": 2} {
		p.holds(server, id, seven, "seven")
	}
	p.entry("done", 1, "", "")
	p.write("release.mirror.m", "sed s/done/mirror.m/ entry.done > entry.mirror.m\n")
	o := p.options()
	out := p.publish(o, src)
	if n := p.releases("mirror.m"); n != 1 {
		t.Errorf("%d releases, want one that lets clients have the site: %+v", n, out)
	}
	for _, s := range out {
		if s.Kind != "" || s.Serves != 7 {
			t.Errorf("%+v", s)
		}
	}
}

// TestPartOfAnOlderRelease: what a release that broke off left at a site is not
// whole either when the tree has moved on: its indexes are all doubtful.
func TestPartOfAnOlderRelease(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "", "", "")
	o := p.options()
	six := src.next(t, 6, "six")
	for _, site := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		p.holds(site, 2, six, "six")
	}
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	p.entry("broken", 1, " -- New release", " -- Old release", " -- Old release")
	p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2; cp -r held/192.0.2.1/1/.mirror held/192.0.2.3/2; "+
		"sed s/broken/mirror.m/ entry.broken > entry.mirror.m; exit 1\n")
	p.publish(o, src)
	p.holds("192.0.2.1", 1, src.next(t, 8, "seven"), "seven")
	before, err := afs.New(o).Serving(t.Context())
	if err != nil || before[0].Serves != 7 || before[1].Serves != 0 || before[2].Serves != 6 {
		t.Errorf("a part of generation 7 counts as all of it, or what is whole as a part: %+v, %v", before, err)
	}
	p.entry("done", 1, "", "", "")
	p.write("release.mirror.m", "for s in 2 3; do cp -r held/192.0.2.1/1/.mirror held/192.0.2.$s/2; done; cp -r held/192.0.2.1/1/. held/192.0.2.4/2; "+
		"sed s/done/mirror.m/ entry.done > entry.mirror.m\n")
	out := p.publish(o, src)
	for _, whole := range []int{0, 2} {
		if out[whole].Kind != "" || out[whole].Serves != 8 {
			t.Errorf("a whole site: %+v", out[whole])
		}
	}
	if out[1].Kind != string(fault.Corrupt) || out[1].Serves != 0 {
		t.Errorf("a damaged copy: %+v", out[1])
	}
}

// TestSameNumberOtherContent: a tree that was restored while nobody could ask
// the sites may come to the number of a generation that they have.
func TestSameNumberOtherContent(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	p.holds("192.0.2.2", 2, src.next(t, 7, "lost"), "lost")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	if out, err := afs.New(p.options()).Publish(t.Context(), src); !errors.Is(err, fault.WrongStorage) || p.releases("mirror.m") > 0 {
		t.Errorf("another generation 7 counts as this one: %+v, %v", out, err)
	}
}

// TestDeletionsDuringARelease: what is deleted while a release is under way has
// to wait for the next one, and is not forgotten.
func TestDeletionsDuringARelease(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	o := p.options()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	o.Now, o.Purge = func() time.Time { return now }, time.Hour
	purged := func() {
		t.Helper()
		if err := afs.New(o).Purged(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	purged()
	p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2\n")
	o.Crash = func(at string) {
		if now = now.Add(time.Minute); at == "release/ended" {
			purged()
		}
	}
	p.publish(o, src)
	o.Crash = nil
	p.publish(o, src)
	if n := p.releases("mirror.m"); n != 1 {
		t.Errorf("%d releases, want one", n)
	}
	now = now.Add(2 * time.Hour)
	p.publish(o, src)
	p.publish(o, src)
	if n := p.releases("mirror.m"); n != 2 {
		t.Errorf("%d releases, want another one for what was deleted during the first", n)
	}
}

// TestSilentSites are told from those that answer and are behind.
func TestSilentSites(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "", "")
	p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
	p.write("held/192.0.2.3/off", "")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	out, err := afs.New(p.options()).Serving(t.Context())
	if err != nil || len(out) != 2 || out[0].Silent || !out[1].Silent {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestReleaseOfAnotherHost: a vos that works on, past its time, is left alone,
// also while it goes from one site to the next; a dead one is cleared up after,
// whatever numbers its transactions have at several servers.
func TestReleaseOfAnotherHost(t *testing.T) {
	defer func(d time.Duration) { *afs.Stillness = d }(*afs.Stillness)
	*afs.Stillness = 0
	transaction := func(id, packets int) string {
		return fmt.Sprintf("cat <<E\ntransaction: %d  created: Thu Jan  1 12:00:00 2026\nlastActiveTime: Thu Jan  1 12:00:00 2026\n"+
			"volume: 2  partition: /vicepa  procedure: Restore\npacketRead: %d  lastReceiveTime: Thu Jan  1 12:00:00 2026\nE\n", id, packets)
	}
	once := func(first, later string) string {
		return "if [ -e \"asked.$3\" ]; then\n" + later + "\nelse\n:> \"asked.$3\"\n" + first + "\nfi\n"
	}
	for _, tc := range []struct {
		name   string
		status [2]string // what vos status runs at the two sites' servers
		moves  bool
	}{
		{"it sends", [2]string{once(transaction(5, 10), transaction(5, 11)), ""}, true},
		{"it goes on to the next site", [2]string{once(transaction(5, 10), ":"), once(":", transaction(9, 1))}, true},
		{"it is between two sites", [2]string{":", once(":", transaction(9, 1))}, true},
		{"it is dead", [2]string{transaction(5, 10), transaction(5, 99)}, false},
		{"it is dead and nothing is left", [2]string{":", ":"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, src := newPaper(t), &sealed{memory: memory{}}
			p.entry("done", 1, "", "")
			p.entry("mirror.m", 1, " -- New release", " -- Old release\n    Volume is currently LOCKED")
			six := src.next(t, 6, "six")
			p.holds("192.0.2.2", 2, six, "six")
			p.holds("192.0.2.3", 2, six, "six")
			p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
			p.write("release.mirror.m", "for s in 2 3; do cp -r held/192.0.2.1/1/. held/192.0.2.$s/2; done; sed s/done/mirror.m/ entry.done > entry.mirror.m\n")
			for i, s := range tc.status {
				p.write(fmt.Sprintf("status.192.0.2.%d", i+2), s)
			}
			o := p.options()
			now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
			o.Now = func() time.Time { return now }
			if err := os.MkdirAll(filepath.Join(o.State, "release"), 0o755); err != nil {
				t.Fatal(err)
			}
			run := `{"id":"X","volume":"mirror.m","generation":7,"host":"elsewhere","boot":"b","started":"2026-01-01T11:59:00Z","deadline":"2026-01-01T13:00:00Z"}`
			for name, text := range map[string]string{"run.1": run, "log.1": "Starting\n"} {
				if err := os.WriteFile(filepath.Join(o.State, "release", name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := afs.New(o).Publish(t.Context(), src)
			if touched := p.asked("unlock") || p.asked("endtrans"); touched == tc.moves || errors.Is(err, fault.Unavailable) != tc.moves || (err == nil) == tc.moves {
				t.Errorf("lock or transactions taken away: %v; %v", touched, err)
			}
		})
	}
}

// TestOperatorAfterADeath: when a host is back long after a run of it died, who
// works on the volume by then is somebody else.
func TestOperatorAfterADeath(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for created, ours := range map[string]bool{"Thu Jan  1 12:10:00 2026": true, "Fri Jan  2 11:50:00 2026": false} {
		p, src := newPaper(t), &sealed{memory: memory{}}
		p.entry("done", 1, "")
		p.entry("mirror.m", 1, " -- Old release\n    Volume is currently LOCKED")
		p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
		p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
		p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2; sed s/done/mirror.m/ entry.done > entry.mirror.m\n")
		p.write("status.192.0.2.2", fmt.Sprintf("cat <<E\ntransaction: 5  created: %s\nlastActiveTime: %s\nvolume: 2  partition: /vicepa  procedure: Restore\nE\n", created, created))
		o := p.options()
		now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
		o.Now = func() time.Time { return now }
		if err := os.MkdirAll(filepath.Join(o.State, "release"), 0o755); err != nil {
			t.Fatal(err)
		}
		run := `{"id":"X","volume":"mirror.m","generation":7,"host":"` + host + `","boot":"before","started":"2026-01-01T11:59:00Z","deadline":"2026-01-01T13:00:00Z"}`
		for name, text := range map[string]string{"run.1": run, "log.1": "Starting\n"} {
			if err := os.WriteFile(filepath.Join(o.State, "release", name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := afs.New(o).Publish(t.Context(), src)
		if p.asked("unlock") != ours || p.asked("endtrans") != ours || errors.Is(err, fault.Conflict) == ours {
			t.Errorf("a transaction of %s: unlocked %v, ended %v, %v", created, p.asked("unlock"), p.asked("endtrans"), err)
		}
	}
}

// TestLockBesideAFailure: a vos that was never started, or never got the lock,
// leaves none, so the one that is there is somebody else's.
func TestLockBesideAFailure(t *testing.T) {
	const ticket = "k5start: error getting credentials: Cannot contact any KDC for realm 'EXAMPLE.ORG'"
	for said, ours := range map[string]bool{
		ticket: false,
		"Could not lock the VLDB entry for the volume 1.\nVLDB: no permission access for call":  false,
		"This is a complete release of volume 1\n" + ticket + "\nFailed to start a transaction": true, // it did not renew the ticket
	} {
		p, src := newPaper(t), &sealed{memory: memory{}}
		p.entry("mirror.m", 1, "")
		p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
		p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
		p.write("release.mirror.m", "echo \"    Volume is currently LOCKED\" >> entry.mirror.m; cat >&2 <<E\n"+said+"\nE\nexit 1\n")
		if out, err := afs.New(p.options()).Publish(t.Context(), src); errors.Is(err, fault.Conflict) == ours || p.asked("unlock") != ours {
			t.Errorf("%s: unlocked %v; %+v, %v", said, p.asked("unlock"), out, err)
		}
	}
}
