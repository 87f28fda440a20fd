package site_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
)

// place is the site of region dfw in a directory of its own.
type place struct {
	t   *testing.T
	dir string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{t, filepath.Join(t.TempDir(), "dfw-site")}
	if err := site.Setup(p.dir, "dfw"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) write(s site.Status, now time.Time) bool {
	p.t.Helper()
	wrote, err := site.Write(site.Options{Dir: p.dir, Status: s, StaleAfter: 24 * time.Hour, Now: now, Files: map[string][]byte{"a/b.conf": []byte("text")}})
	if err != nil {
		p.t.Fatal(err)
	}
	return wrote
}

func (p place) status() (s site.Status) {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, site.StatusName))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// cycle is a status with one cycle at that time.
func cycle(s site.Status, at time.Time) site.Status {
	s.Cycles = []site.Cycle{{Started: at, Seconds: 9, Outcome: "unchanged"}}
	return s
}

func TestWhenThePageIsWritten(t *testing.T) {
	newer := func() site.Status {
		s := fine()
		s.Mirrors[0].Generation++
		return s
	}
	for name, tc := range map[string]struct {
		before, after site.Status
		later         time.Duration
		want          bool
	}{
		"not while nothing changes":             {fine(), fine(), 59 * time.Minute, false},
		"after an hour":                         {fine(), fine(), time.Hour, true},
		"with a new generation":                 {fine(), newer(), time.Minute, true},
		"while something is wrong":              {troubled(), troubled(), time.Minute, true},
		"when something becomes wrong":          {fine(), troubled(), time.Minute, true},
		"when nothing is wrong any more":        {troubled(), fine(), time.Minute, true},
		"after the clock went back by a second": {fine(), fine(), -time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			if !p.write(tc.before, noon) {
				t.Fatal("the first page was not written")
			}
			if got := p.write(tc.after, noon.Add(tc.later)); got != tc.want {
				t.Errorf("written: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestClientFilesAreBroughtUpToDate(t *testing.T) {
	p := newPlace(t)
	p.write(fine(), noon)
	wrote, err := site.Write(site.Options{Dir: p.dir, Status: fine(), StaleAfter: time.Hour, Now: noon.Add(time.Minute), Files: map[string][]byte{"c.conf": []byte("new")}})
	if err != nil || !wrote {
		t.Fatal(wrote, err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "config/a/b.conf")); !os.IsNotExist(err) {
		t.Errorf("a file that is no longer wanted: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(p.dir, "config/c.conf")); err != nil || string(data) != "new" {
		t.Errorf("%q %v", data, err)
	}
}

// TestClientFilesStayWhenNobodyCanSayWhatTheyAre: a keyring that cannot be read takes no sources away.
func TestClientFilesStayWhenNobodyCanSayWhatTheyAre(t *testing.T) {
	p := newPlace(t)
	p.write(fine(), noon)
	if _, err := site.Write(site.Options{Dir: p.dir, Status: fine(), StaleAfter: time.Hour, Now: noon.Add(2 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(p.dir, "index.html"))
	if _, gone := os.Stat(filepath.Join(p.dir, "config/a/b.conf")); gone != nil || err != nil || !strings.Contains(string(page), "config/a/b.conf") {
		t.Error(gone, err)
	}
}

// TestHealthEnds: a region is healthy as long as a probe saw the newest
// generation of each of its mirrors not too long ago, whoever stops writing.
func TestHealthEnds(t *testing.T) {
	p := newPlace(t)
	until := func() time.Time { return p.status().HealthyUntil }
	beats := func() int {
		names, err := filepath.Glob(filepath.Join(p.dir, "health", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	p.write(fine(), noon)
	if want := noon.Add(24 * time.Hour); !until().Equal(want) || beats() != 87 {
		t.Errorf("healthy until %v with %d files", until(), beats())
	}
	behind := fine()
	behind.Mirrors[1].Regions[0].Serves--
	elsewhere := fine()
	elsewhere.Mirrors[1].Regions[1].Serves--
	unseen := fine()
	unseen.Mirrors[1].Regions[0].Serves, unseen.Mirrors[1].Regions[0].Outcome = 0, "failed"
	for i, s := range []site.Status{behind, unseen, behind} {
		p.write(s, noon.Add(time.Duration(i+1)*time.Hour))
		if want := noon.Add(24 * time.Hour); !until().Equal(want) {
			t.Errorf("write %d: healthy until %v, want %v", i, until(), want)
		}
	}
	p.write(behind, noon.Add(25*time.Hour))
	if beats() != 0 {
		t.Errorf("%d files although the region was behind for a day", beats())
	}
	p.write(elsewhere, noon.Add(26*time.Hour))
	if want := noon.Add(50 * time.Hour); !until().Equal(want) {
		t.Errorf("healthy until %v, want %v: another region's trouble is not this one's", until(), want)
	}
}

// TestNewMirrorsMakeNobodyUnhealthy: a first sync takes days, and its first release hours.
func TestNewMirrorsMakeNobodyUnhealthy(t *testing.T) {
	p := newPlace(t)
	s := fine()
	s.Mirrors = append(s.Mirrors, site.Mirror{Name: "new", Outcome: "late", Regions: []site.Served{{Region: "dfw"}}})
	for _, later := range []time.Duration{0, 48 * time.Hour} {
		p.write(s, noon.Add(later))
		if want := noon.Add(later + 24*time.Hour); !p.status().HealthyUntil.Equal(want) {
			t.Errorf("healthy until %v, want %v", p.status().HealthyUntil, want)
		}
	}
	s.Mirrors[3].Generation, s.Mirrors[3].Regions[0].Outcome = 1, "late"
	p.write(s, noon.Add(60*time.Hour))
	p.write(s, noon.Add(61*time.Hour))
	if want := noon.Add(84 * time.Hour); !p.status().HealthyUntil.Equal(want) {
		t.Errorf("healthy until %v, want %v: counted from the first generation on", p.status().HealthyUntil, want)
	}
}

func TestWhatTheLastPageKnew(t *testing.T) {
	p := newPlace(t)
	p.write(cycle(fine(), noon), noon)
	bad := cycle(troubled(), noon.Add(2*time.Hour))
	bad.Mirrors = bad.Mirrors[:3]
	p.write(bad, noon.Add(2*time.Hour))
	s := p.status()
	if len(s.Cycles) != 2 {
		t.Errorf("%d cycles", len(s.Cycles))
	}
	if got := s.Mirrors[1].LevelAt; !got.Equal(noon) {
		t.Errorf("level at %v, want %v", got, noon)
	}
	if got := s.Mirrors[2].Regions[2]; got.Serves != 7043 || !got.SeenAt.Equal(noon) {
		t.Errorf("a region that does not answer was last seen %v with %d", got.SeenAt, got.Serves)
	}
	only := cycle(fine(), noon.Add(4*time.Hour)) // a cycle of one mirror
	for i := range only.Mirrors[:2] {
		m := &only.Mirrors[i]
		m.Outcome = ""
		for j := range m.Regions {
			m.Regions[j] = site.Served{Region: m.Regions[j].Region}
		}
	}
	p.write(only, noon.Add(4*time.Hour))
	s = p.status()
	if m := s.Mirrors[0]; m.Outcome != "held" || m.Plan == "" || m.Regions[0].Serves != 412 || !m.Regions[0].SeenAt.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("a mirror that was left out: %+v", m)
	}
	if m := s.Mirrors[2]; m.Outcome != "done" || s.Level != site.Wrong || len(s.Cycles) != 3 {
		t.Errorf("%s, %s, %d cycles", m.Outcome, s.Level, len(s.Cycles))
	}
}

func TestOnlyTheRightDirectoryIsWrittenTo(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "passwd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	other := newPlace(t)
	for name, err := range map[string]error{
		"a directory in use":        site.Setup(full, "dfw"),
		"another region's":          site.Setup(other.dir, "ord"),
		"one that was not set up":   write(t.TempDir(), "dfw"),
		"one that is not there":     write(filepath.Join(full, "no"), "dfw"),
		"another region's, written": write(other.dir, "ord"),
	} {
		if !errors.Is(err, fault.WrongStorage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(site.Setup(other.dir, "dfw"), write(other.dir, "dfw")); err != nil {
		t.Error(err)
	}
}

func write(dir, region string) error {
	_, err := site.Write(site.Options{Dir: dir, Status: site.Status{Region: region}, Now: noon})
	return err
}

// TestADamagedPageIsReplaced: nothing on it is worth stopping for.
func TestADamagedPageIsReplaced(t *testing.T) {
	p := newPlace(t)
	p.write(fine(), noon)
	for _, bad := range []string{"", "{", `{"version":99}`, "null"} {
		if err := os.WriteFile(filepath.Join(p.dir, site.StatusName), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if !p.write(fine(), noon.Add(time.Minute)) || p.status().Version != site.Version {
			t.Errorf("after %q it stayed", bad)
		}
	}
}

// TestAHealthyRegionStaysHealthy: a page that stays as it is must not run out
// between two cycles that found nothing wrong.
func TestAHealthyRegionStaysHealthy(t *testing.T) {
	for _, staleAfter := range []time.Duration{time.Hour, 90 * time.Minute, 2 * time.Hour} {
		p := newPlace(t)
		const every = 10 * time.Minute
		for now := noon; now.Before(noon.Add(5 * time.Hour)); now = now.Add(every) {
			if _, err := site.Write(site.Options{Dir: p.dir, Status: fine(), StaleAfter: staleAfter, Now: now}); err != nil {
				t.Fatal(err)
			}
			next := now.Add(every)
			if until := p.status().HealthyUntil; !until.After(next) || !hasBeat(p.dir, next) {
				t.Errorf("stale after %v: unhealthy %v after the first of many cycles without fault, until %v", staleAfter, next.Sub(noon), until)
				break
			}
		}
	}
}

func hasBeat(dir string, at time.Time) bool {
	_, err := os.Stat(filepath.Join(dir, site.HealthDir, strconv.FormatInt(at.Unix()/1000, 10)))
	return err == nil
}

// TestATreeThatCannotBeReadIsSeen: in a cycle that left its mirror out, too, and
// no longer than it is so.
func TestATreeThatCannotBeReadIsSeen(t *testing.T) {
	p := newPlace(t)
	left := func() site.Status { // out: what a cycle of other mirrors knows of it
		s := fine()
		m := &s.Mirrors[0]
		m.Outcome = ""
		for j := range m.Regions {
			m.Regions[j] = site.Served{Region: m.Regions[j].Region}
		}
		return s
	}
	p.write(fine(), noon)
	away := left()
	away.Mirrors[0] = site.Mirror{Name: "ubuntu", FaultKind: "wrong-storage", Error: "tree: open: no identity", Regions: away.Mirrors[0].Regions}
	p.write(away, noon.Add(time.Hour))
	s := p.status()
	if m := s.Mirrors[0]; s.Level != site.Wrong || m.Generation != 412 || !s.HealthyUntil.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("away: level %s, generation %d, healthy until %v", s.Level, m.Generation, s.HealthyUntil)
	}
	p.write(left(), noon.Add(2*time.Hour))
	if s := p.status(); s.Level != site.OK {
		t.Errorf("there again: level %s: %+v", s.Level, s.Problems)
	}
	failed := fine()
	failed.Mirrors[0].Outcome, failed.Mirrors[0].Error = "failed", "no route"
	p.write(failed, noon.Add(3*time.Hour))
	p.write(left(), noon.Add(4*time.Hour))
	if s := p.status(); s.Level != site.Wrong || s.Mirrors[0].Error != "no route" {
		t.Errorf("a failed run that nobody repeated: level %s: %+v", s.Level, s.Problems)
	}
}

// TestAReleaseThatWaitsForAnotherIsNoFault: clients get what they had, whole.
func TestAReleaseThatWaitsForAnotherIsNoFault(t *testing.T) {
	p := newPlace(t)
	p.write(fine(), noon)
	s := fine()
	s.Mirrors[2].Generation++
	s.Mirrors[2].Regions[0] = site.Served{Region: "dfw", Outcome: "late", FaultKind: "early", Error: "dir: publish: early: its pages name files of generation 9 of pypi"}
	p.write(s, noon.Add(time.Hour))
	if got := p.status(); got.Level != site.Attention || !strings.Contains(got.Problems[0].What, "waits for another mirror") {
		t.Errorf("%s: %+v", got.Level, got.Problems)
	}
}

// TestAnUnhealthyPageSaysWhy: a run that never ends keeps the others away, and
// nobody looks at what the region serves.
func TestAnUnhealthyPageSaysWhy(t *testing.T) {
	p := newPlace(t)
	p.write(fine(), noon)
	for h := 2; h <= 26; h += 2 {
		s := fine()
		m := &s.Mirrors[1]
		m.Outcome = "busy"
		for i := range m.Regions {
			m.Regions[i] = site.Served{Region: m.Regions[i].Region}
		}
		p.write(s, noon.Add(time.Duration(h)*time.Hour))
	}
	s := p.status()
	if s.HealthyUntil.After(s.Written) {
		t.Fatalf("healthy until %v", s.HealthyUntil)
	}
	if s.Level != site.Wrong || len(s.Problems) != 1 || s.Problems[0].Mirror != "debian-security" || s.Problems[0].Region != "dfw" {
		t.Errorf("/healthz is 503, and the page says %s: %+v", s.Level, s.Problems)
	}
}
