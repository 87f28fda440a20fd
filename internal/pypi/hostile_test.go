package pypi_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
)

const portal = "<!DOCTYPE html><html><body>Please log in</body></html>"

const bad, wheel2 = "simple/alpha/", "alpha-2-py3-none-any.whl"

// answer makes upstream answer one path with a status, a type and a body.
func answer(path string, status int, media, body string) func(*stage) {
	return func(s *stage) {
		s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/"+path {
				return false
			}
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		})
	}
}

// committed is the serial of alpha after the good cycle.
const committed = 101

const mediaJSON = "application/vnd.pypi.simple.v1+json"

// page publishes project alpha with its second file changed.
func page(change func(*stage, *file)) func(*stage) {
	return func(s *stage) {
		f := s.wheel("alpha", "2")
		change(s, &f)
		s.set("alpha", s.wheel("alpha", "1"), f)
	}
}

// TestHostileRoot lets nothing of the root page be believed.
func TestHostileRoot(t *testing.T) {
	tests := []struct {
		name   string
		attack func(*stage)
		kind   fault.Kind
		text   string
	}{
		{"captive portal", answer("simple/", 200, "text/html", portal), fault.Malformed, "captive portal"},
		{"captive portal that calls itself JSON", answer("simple/", 200, mediaJSON, portal), fault.Malformed, "/simple/"},
		{"cut short", answer("simple/", 200, mediaJSON, `{"meta":{"api-version":"1.4"},"projects":[{"name":"alpha"}`), fault.Malformed, "/simple/"},
		{"other version", answer("simple/", 200, mediaJSON, `{"meta":{"api-version":"2.0"},"projects":[]}`), fault.Malformed, "2.0"},
		{"emptied", answer("simple/", 200, mediaJSON, `{"meta":{"api-version":"1.4","_last-serial":999},"projects":[]}`), fault.Stale, "no project"},
		{"500", answer("simple/", 500, "", ""), fault.Unavailable, "/simple/"},
		{"404", answer("simple/", 404, "", ""), fault.Gone, "/simple/"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			for _, name := range []string{"alpha", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "c0", "c1"} {
				s.set(name, s.wheel(name, "1"))
			}
			s.mustCycle(t)
			before, projects := s.snapshot(), maps.Clone(s.projects)
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			serial := s.serial
			c.attack(s)
			r := s.cycle()
			if r.Digest != "" || fault.KindOf(r.Err) != c.kind {
				t.Fatalf("want no plan and an error of kind %s: %+v", c.kind, r)
			}
			useful(t, r.Err.Error(), c.text)
			if diff := cmp.Diff(before, s.snapshot()); diff != "" {
				t.Errorf("the tree has changed: %s", diff)
			}
			s.setAlter(nil)
			s.projects, s.serial = projects, serial+1
			s.mustCycle(t)
			if diff := cmp.Diff([]string{"alpha-1-py3-none-any.whl", wheel2}, s.links("alpha")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRootInDoubt: a root page that is older than one before, or lacks most
// projects, makes nothing go, and holds nothing up.
func TestRootInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(*stage)
		text   string
		gone   []string // after the second answer
	}{
		"older": {func(s *stage) { s.serial = 50; delete(s.projects, "b1") }, "mirrored already", []string{"b1"}},
		"lacks most projects": {func(s *stage) {
			for _, name := range []string{"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "c0"} {
				s.remove(name)
			}
		}, "lacks 11 of 13", []string{"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "c0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			for _, name := range []string{"alpha", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "c0", "c1"} {
				s.set(name, s.wheel(name, "1"))
			}
			s.mustCycle(t)
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			c.attack(s)
			r := s.cycle()
			if r.Err != nil || r.Number != 2 || len(r.Notes) == 0 || len(s.listed()) != 13 || len(s.links("alpha")) != 2 {
				t.Fatalf("want alpha to move on, and nothing to go: %+v", r)
			}
			useful(t, r.Notes[0].Error, c.text)
			published := s.rootSerial()
			s.now = s.now.Add(time.Hour)
			if r := s.cycle(); r.Err != nil || r.Number != 3 || len(s.listed()) != 13-len(c.gone) {
				t.Errorf("the same answer twice is believed: %+v, %v", r, s.listed())
			}
			if got := s.rootSerial(); got < published {
				t.Errorf("the published serial fell from %d to %d", published, got)
			}
		})
	}
}

// TestHostilePage lets a project's page be wrong: the project stays as it is,
// and the other one moves on.
func TestHostilePage(t *testing.T) {
	tests := []struct {
		name   string
		attack func(*stage)
		kind   fault.Kind
		text   string
	}{
		{"captive portal", answer(bad, 200, "text/html", portal), fault.Malformed, "captive portal"},
		{"captive portal that calls itself JSON", answer(bad, 200, mediaJSON, portal), fault.Malformed, "portal"},
		{"cut short", answer(bad, 200, mediaJSON, `{"meta":{"api-version":"1.4"},"name":"alpha","files":[`), fault.Malformed, bad},
		{"other version", answer(bad, 200, mediaJSON, `{"meta":{"api-version":"2.0"},"name":"alpha","files":[]}`), fault.Malformed, "2.0"},
		{"other project", answer(bad, 200, mediaJSON, `{"meta":{"api-version":"1.4"},"name":"beta","files":[]}`), fault.Malformed, "beta"},
		{"without files", answer(bad, 200, mediaJSON, `{"meta":{"api-version":"1.4"},"name":"alpha"}`), fault.Malformed, "files"},
		{"500", answer(bad, 500, "", ""), fault.Unavailable, bad},
		{"403", answer(bad, 403, "", ""), fault.Denied, bad},
		{"older than the root says, by its header", func(s *stage) {
			s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/"+bad {
					return false
				}
				old := *s.projects["alpha"]
				old.Serial = 1
				s.page(w, r, old.body("alpha"), 1)
				return true
			})
		}, fault.Stale, "below"},
		{"older than the root says, by its own word", func(s *stage) {
			s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/"+bad {
					return false
				}
				old := *s.projects["alpha"]
				old.Serial = committed
				s.page(w, r, old.body("alpha"), 0)
				return true
			})
		}, fault.Stale, "below"},
		{"without the serial that it had", func(s *stage) {
			s.projects["alpha"].Serial, s.projects["alpha"].Quiet = 0, true
		}, fault.Stale, "names no serial"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.set("alpha", s.wheel("alpha", "1"))
			s.set("beta", s.wheel("beta", "1"))
			s.mustCycle(t)
			was := s.b.Read("simple/alpha/index.v1_json")
			s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			c.attack(s)
			r := s.cycle()
			if r.Err != nil || r.Number != 2 || r.Info.Drops != 0 {
				t.Fatalf("want beta to move on and nothing to go: %+v", r)
			}
			noted(t, r, "alpha", c.kind, c.text)
			if s.b.Read("simple/alpha/index.v1_json") != was || len(s.links("beta")) != 2 || s.objects("alpha-1-py3-none-any.whl") != 1 {
				t.Error("want alpha as it was, and beta's new file")
			}
			s.setAlter(nil)
			s.projects["alpha"].Quiet = false
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			s.mustCycle(t)
			if got := s.links("alpha"); len(got) != 2 {
				t.Errorf("healed page has %v", got)
			}
		})
	}
}

// TestHostileEntry lets one entry of a page be wrong: it is left off, or stays
// what it was, told once, and the project moves on.
func TestHostileEntry(t *testing.T) {
	tests := []struct {
		name   string
		attack func(*stage)
		kind   fault.Kind
		text   string
	}{
		{"file name with a slash", page(func(_ *stage, f *file) { f.Filename = "alpha/2.whl" }), fault.Hostile, bad},
		{"file name that leaves", page(func(_ *stage, f *file) { f.Filename = ".." }), fault.Hostile, bad},
		{"file name with a control character", page(func(_ *stage, f *file) { f.Filename = "alpha-2\n.whl" }), fault.Hostile, bad},
		{"file on this machine", page(func(_ *stage, f *file) { f.URL = "file:///etc/passwd" }), fault.Hostile, bad},
		{"file by another scheme", page(func(_ *stage, f *file) { f.URL = "gopher://example.org/x" }), fault.Hostile, bad},
		{"file without a digest", page(func(_ *stage, f *file) { f.Hashes = map[string]string{"md5": "0"} }), fault.Unproved, bad},
		{"two files of one name", func(s *stage) {
			s.set("alpha", s.wheel("alpha", "1"), s.file("alpha-2.tar.gz", []byte("x")), s.file("alpha-2.tar.gz", []byte("y")))
		}, fault.Malformed, "twice"},
		{"released file with other bytes", func(s *stage) {
			s.set("alpha", s.file("alpha-1-py3-none-any.whl", []byte("other")))
		}, fault.Conflict, "alpha-1-py3-none-any.whl"},
		{"released path with other bytes", func(s *stage) {
			f := s.wheel("alpha", "1")
			f.Filename, f.Hashes = "alpha-1-py3-none-any.whl", map[string]string{"sha256": strings.Repeat("ab", 32)}
			s.set("alpha", f)
		}, fault.Conflict, "alpha-1-py3-none-any.whl"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			s.set("beta", s.wheel("beta", "1"))
			s.mustCycle(t)
			was := s.entry("alpha", "alpha-1-py3-none-any.whl")
			c.attack(s)
			s.change("alpha", func(p *project) { p.Files = append(p.Files, s.wheelAt("alpha", "3")) })
			r := s.cycle()
			if r.Err != nil || r.Number != 2 || !slices.Contains(s.links("alpha"), "alpha-3-py3-none-any.whl") || r.Info.Refused != 1 {
				t.Fatalf("want alpha to move on: %+v, %v", r, s.links("alpha"))
			}
			noted(t, r, "alpha", c.kind, c.text)
			if n := r.Notes[0]; !n.Standing || n.Known {
				t.Errorf("want it told, and to be recognised: %+v", n)
			}
			if l, err := pypi.Lacking(s.b.Tree(), 5); err != nil || len(l.Missing) != 0 || l.Refused[c.kind] != 1 || len(l.Some) != 1 || !l.Some[0].Refused || l.Some[0].Reason != r.Notes[0].Error {
				t.Errorf("%+v, %v", l, err)
			}
			if got := s.entry("alpha", "alpha-1-py3-none-any.whl"); got != was {
				t.Errorf("what was mirrored has changed: %s, was %s", got, was)
			}
			if r := s.cycle(); r.Digest != "" || len(r.Notes) != 1 || !r.Notes[0].Known || r.Info.Refused != 1 {
				t.Errorf("want it known, and nothing to do: %+v", r)
			}
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			s.mustCycle(t)
			if got := s.links("alpha"); len(got) != 2 {
				t.Errorf("healed page has %v", got)
			}
		})
	}
}

// TestHostileFile lets one file of a page be wrong: it is left off the page,
// noted, and had as soon as upstream heals, though no page changes then.
func TestHostileFile(t *testing.T) {
	spoil := func(change func([]byte) []byte) func(*stage) {
		return func(s *stage) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p, data := range s.content {
				if strings.HasSuffix(p, "/"+wheel2) {
					if s.content[p] = change(data); s.content[p] == nil {
						delete(s.content, p)
					}
				}
			}
		}
	}
	tests := []struct {
		name   string
		attack func(*stage)
		kind   fault.Kind
		text   string
	}{
		{"other digest", spoil(func(b []byte) []byte { b = slices.Clone(b); b[0] ^= 1; return b }), fault.Unproved, wheel2},
		{"larger than declared", spoil(func(b []byte) []byte { return append(slices.Clone(b), 'x') }), fault.Unproved, wheel2},
		{"cut short", spoil(func(b []byte) []byte { return b[:len(b)-1] }), fault.Unproved, wheel2},
		{"captive portal", spoil(func([]byte) []byte { return []byte(portal) }), fault.Unproved, "captive portal"},
		{"404", spoil(func([]byte) []byte { return nil }), fault.Gone, wheel2},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.set("alpha", s.wheel("alpha", "1"))
			s.set("beta", s.wheel("beta", "1"))
			s.mustCycle(t)
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			good := maps.Clone(s.content)
			c.attack(s)
			r := s.cycle()
			if r.Number != 2 || r.Err != nil {
				t.Fatalf("%+v", r)
			}
			noted(t, r, "alpha", c.kind, c.text)
			if diff := cmp.Diff([]string{"alpha-1-py3-none-any.whl"}, s.links("alpha")); diff != "" {
				t.Error(diff)
			}
			if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || !r.Notes[0].Known {
				t.Errorf("still missing: want a known note and no generation: %+v", r)
			}
			if l, err := pypi.Lacking(s.b.Tree(), 5); err != nil || l.Missing[c.kind] != 1 || len(l.Refused) != 0 || len(l.Some) != 1 || l.Some[0].File != wheel2 {
				t.Errorf("%+v, %v", l, err)
			}
			s.mu.Lock()
			s.content = good
			s.mu.Unlock()
			s.mustCycle(t)
			if got := s.links("alpha"); len(got) != 2 {
				t.Errorf("the file is there now, the page has %v", got)
			}
			if r := s.cycle(); r.Digest != "" {
				t.Errorf("nothing is missing any more, yet %+v", r)
			}
		})
	}
}

// TestLeftOut names files that are left off a page for good.
func TestLeftOut(t *testing.T) {
	for _, name := range []string{"beta-1.tar.gz", "alphabet-1.tar.gz", "alpha_x-1-py3-none-any.whl", "alpha-1-py3-none-any.whl.metadata"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.set("alpha", s.wheel("alpha", "1"), s.file(name, []byte("evil")))
			r := s.cycle()
			if r.Number != 1 || r.Err != nil {
				t.Fatalf("%+v", r)
			}
			noted(t, r, "alpha", fault.Hostile, name)
			if diff := cmp.Diff([]string{"alpha-1-py3-none-any.whl"}, s.links("alpha")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
