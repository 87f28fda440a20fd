package site_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mirrorcycle/internal/site"
	"mirrorcycle/mirrorspec"
)

var update = flag.Bool("update", false, "rewrite golden files")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fine is a page on which nothing is wrong: three mirrors in three regions.
func fine() site.Status {
	s := site.Status{Cycle: "openstack", Region: "dfw", Every: mirrorspec.Duration(2 * time.Hour),
		Regions: []site.Region{{Name: "dfw", URL: "http://mirror.dfw.example.org"}, {Name: "ord", URL: "http://mirror.ord.example.org"}, {Name: "iad", URL: "http://mirror.iad.example.org"}},
		Mirrors: []site.Mirror{
			mirror("ubuntu", mirrorspec.Apt, 412, 1_204_331, 2_830_000_000_000),
			mirror("debian-security", mirrorspec.Apt, 1288, 61_902, 94_200_000_000),
			mirror("pypi", mirrorspec.PyPI, 7043, 412_006, 1_904_000_000_000),
		}}
	s.Mirrors[2].Date, s.Mirrors[2].Serial = time.Time{}, 31_802_117
	for i := range 30 {
		s.Cycles = append(s.Cycles, site.Cycle{Started: noon.Add(time.Duration(i-29) * 2 * time.Hour), Seconds: float64(40 + (i*37)%97*7), Outcome: []string{"done", "unchanged", "done"}[i%3]})
	}
	return s
}

func mirror(name string, kind mirrorspec.Kind, n, objects, size int64) site.Mirror {
	m := site.Mirror{Name: name, Kind: kind, Outcome: "done", Committed: n, Generation: n, Time: noon.Add(-47 * time.Minute), LevelAt: noon, Date: noon.Add(-time.Hour),
		Objects: objects, Bytes: size, Retained: 1904, FreeBytes: 1_400_000_000_000}
	for i := range int64(12) {
		g := site.Generation{Number: n - 11 + i, Time: noon.Add(-time.Duration(12-i)*3*time.Hour - 47*time.Minute), Added: (i*i*31 + n) % 211, Dropped: (i*17 + n) % 83, Indexes: 12}
		m.Generations = append(m.Generations, g)
	}
	m.Generations[11].Time = m.Time
	for _, r := range []string{"dfw", "ord", "iad"} {
		m.Regions = append(m.Regions, site.Served{Region: r, Outcome: "done", Serves: n, Waiting: 12, WaitingBytes: 4_000_000})
	}
	return m
}

// troubled has one of everything that can be wrong.
func troubled() site.Status {
	s := fine()
	for i, outcome := range map[int]string{12: "failed", 20: "partial", 29: "failed"} {
		s.Cycles[i].Outcome = outcome
	}
	u, d, p := &s.Mirrors[0], &s.Mirrors[1], &s.Mirrors[2]
	u.Outcome, u.Plan, u.LevelAt = "held", "9f2c41aa07", noon.Add(-26*time.Hour)
	u.Reasons = []string{"it removes 48 211 of 1 204 331 objects, more than 20%", "it empties noble-backports/universe"}
	d.Outcome, d.FaultKind, d.LevelAt = "failed", "unavailable", noon.Add(-5*time.Hour)
	d.Error = "apt: fetch http://security.example.org/dists/bookworm-security/InRelease: unavailable: dial tcp 192.0.2.7:80: i/o timeout"
	d.Regions[1].Serves, d.Regions[1].Outcome, d.Regions[1].FaultKind = 1286, "failed", "no-space"
	d.Regions[1].Error = "dir: publish /srv/mirror/ord/debian-security: no-space: write: no space left on device; free space or give the region a larger disk"
	p.Outcome = "partial"
	p.Deferred = []site.Note{{Unit: "nova", Error: "fetch: get nova-31.0.0.tar.gz: unproved: SHA-256 differs"}, {Unit: "oslo-config", Error: "fetch: get: unavailable: 503"},
		{Unit: "pywin32", Error: "pypi: meet requirement pywin32==1: gone: upstream has no version that meets it", Known: true}}
	p.Lacks = &site.Lacks{Missing: map[string]int64{"gone": 1}, Refused: map[string]int64{"unproved": 2, "malformed": 1}, Some: []site.Lack{
		{Unit: "nova", File: "nova-31.0.0.tar.gz", Reason: "pypi: fetch file nova-31.0.0.tar.gz: gone: upstream lists it and does not have it as listed"},
		{Unit: "pywin32", File: "pywin32-1.zip", Reason: "pypi: plan file: unproved: it has no SHA-256", Refused: true}}}
	p.Regions[2] = site.Served{Region: "iad", Outcome: "failed", FaultKind: "unavailable", Error: "release: probe http://mirror.iad.example.org: connection refused"}
	s.Mirrors = append(s.Mirrors, site.Mirror{Name: "centos-stream", Kind: mirrorspec.Yum, Outcome: "on-hold", Hold: "waits for the new keys", Committed: 3, Generation: 3,
		Time: noon.Add(-9 * 24 * time.Hour), Objects: 5, Bytes: 999, Regions: []site.Served{{Region: "dfw", Outcome: "unchanged", Serves: 3}}},
		site.Mirror{Name: "wheels", Kind: mirrorspec.Wheels, Outcome: "late", Regions: []site.Served{{Region: "dfw"}, {Region: "ord"}, {Region: "iad"}}})
	return s
}

// hostile has markup wherever text comes from somewhere else.
func hostile() site.Status {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	s := fine()
	s.Mirrors = s.Mirrors[:1]
	m := &s.Mirrors[0]
	m.Outcome, m.Error, m.FaultKind, m.Hold, m.Plan, m.Reasons = "failed", evil, evil, evil, evil, []string{evil}
	m.Deferred = []site.Note{{Unit: evil, Error: evil}}
	m.Lacks = &site.Lacks{Missing: map[string]int64{evil: 1}, Some: []site.Lack{{Unit: evil, File: evil, Reason: evil}}}
	m.Regions[0].Error, s.Regions[0].URL = evil, "javascript:alert(1)"
	s.Cycles[0].Outcome = evil
	return s
}

// judged is what is shown after a cycle before which all was fine.
func judged(s site.Status) *site.Status {
	before := fine()
	before.Cycles = nil
	before.Carry(nil, noon.Add(-5*time.Hour))
	s.Carry(&before, noon)
	s.Judge(noon, 24*time.Hour)
	return &s
}

var files = []string{"apt/ubuntu.sources", "apt/ubuntu.list", "apt/ubuntu.gpg", "apt/99mirror.conf", "pip/pypi/pip.conf", "uv/pypi/uv.toml", "install.sh"}

func TestPagesAndTheirStatus(t *testing.T) {
	for name, s := range map[string]site.Status{"fine": fine(), "troubled": troubled(), "empty": {Cycle: "new", Region: "dfw"}} {
		t.Run(name, func(t *testing.T) {
			j := judged(s)
			var page bytes.Buffer
			if err := site.Render(&page, j, files); err != nil {
				t.Fatal(err)
			}
			data, err := json.MarshalIndent(j, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".html", page.Bytes())
			golden(t, name+".json", append(data, '\n'))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./internal/site -update):\n%s", name, diff)
	}
}

// TestPageShowsTextAsText: errors quote upstreams, and upstreams are foreign.
func TestPageShowsTextAsText(t *testing.T) {
	var page bytes.Buffer
	if err := site.Render(&page, judged(hostile()), []string{`"><script>`}); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(page.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "img") {
			t.Errorf("the page has an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "href" && strings.HasPrefix(a.Val, "javascript:") {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
}

// TestPageNeedsNothingElse: no reference leads to a file that is not written beside it.
func TestPageNeedsNothingElse(t *testing.T) {
	var page bytes.Buffer
	if err := site.Render(&page, judged(troubled()), files); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(page.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "src":
				t.Errorf("%s loads %s", n.Data, a.Val)
			case a.Key == "href" && n.Data == "link" && !strings.HasPrefix(a.Val, "data:"):
				t.Errorf("the page loads %s", a.Val)
			case a.Key == "href":
				links++
			}
		}
	}
	if want := 1 + 3 + len(files) + 2; links != want {
		t.Errorf("%d links, want %d", links, want)
	}
	if strings.Contains(page.String(), "ZgotmplZ") {
		t.Error("the template refused something of its own")
	}
}

func ExampleHealth() {
	noon := time.Unix(1_800_000_000, 0)
	fmt.Println(site.Health(noon.Add(30*time.Second), noon.Add(time.Hour)))
	// Output: [1800000 1800001 1800002]
}
