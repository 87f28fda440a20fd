package apt_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

// TestNextUpstream: where the first of several upstreams answers with a page, an
// older Release or an expired one, the next is asked.
func TestNextUpstream(t *testing.T) {
	for name, spoil := range map[string]func(s *stage, first *upstream){
		"a portal page": func(_ *stage, first *upstream) {
			first.alter = func(w http.ResponseWriter, _ *http.Request) bool {
				_, err := w.Write([]byte(portal))
				return err == nil
			}
		},
		"an older Release": func(s *stage, first *upstream) {
			s.date = s.date.Add(-48 * time.Hour)
			s.publish(map[string][]debrepotest.Package{"stable": {deb("a", "0")}})
			first.files = s.u.files
			s.date = s.date.Add(48 * time.Hour)
		},
		"an expired Release": func(s *stage, first *upstream) {
			s.valid = time.Now().Add(-time.Hour)
			s.publish(good)
			first.files, s.valid = s.u.files, time.Time{}
		},
		"signed by nobody known": func(s *stage, first *upstream) {
			keys := s.keys
			s.keys = []*openpgp.Entity{debrepotest.NewKey("other")}
			s.publish(good)
			first.files, s.keys = s.u.files, keys
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			first := serve(t)
			s.engine = s.archive.engine(s.b, func(c *apt.Config) { c.Upstreams = []string{first.URL, s.u.URL} })
			s.publish(good)
			first.files = maps.Clone(s.u.files)
			s.mustCycle(t)
			spoil(s, first)
			s.publish(next)
			s.mustCycle(t)
			if got := s.b.Read(inRelease); got != string(s.u.files[inRelease]) {
				t.Error("it is not the second upstream's Release")
			}
		})
	}
}

// TestCachesAreToldToAsk: as apt asks, so that no cache in between answers with an old index.
func TestCachesAreToldToAsk(t *testing.T) {
	s := newStage(t, nil)
	asked := map[string][]string{}
	s.u.alter = func(w http.ResponseWriter, r *http.Request) bool {
		s.u.mu.Lock()
		defer s.u.mu.Unlock()
		p := strings.TrimPrefix(r.URL.Path, "/")
		asked[p] = append(asked[p], r.Header.Get("Cache-Control"))
		fail := (p == inRelease || p == packagesXZ) && len(asked[p]) == 1
		if fail {
			w.WriteHeader(http.StatusBadGateway)
		}
		return fail
	}
	s.publish(good)
	s.edit(func(files map[string][]byte) {
		maps.DeleteFunc(files, func(p string, _ []byte) bool { return strings.Contains(p, "/by-hash/") })
	})
	s.mustCycle(t)
	if got := asked[inRelease]; !slices.Equal(got, []string{"max-age=0", "no-cache"}) {
		t.Errorf("InRelease: %q", got)
	}
	if got := asked[packagesXZ]; !slices.Equal(got, []string{"max-age=0", "no-cache"}) {
		t.Errorf("Packages.xz: %q", got)
	}
	if got := asked["pool/main/a/a/a_1_amd64.deb"]; !slices.Equal(got, []string{""}) {
		t.Errorf("a package: %q", got)
	}
}

// TestAnotherSuiteInItsPlace: the same key signs all suites of an archive, so a
// Release that is of another one needs a person's word, also the first time.
func TestAnotherSuiteInItsPlace(t *testing.T) {
	named := func(suite, codename string) forged {
		return forged{plain: append(stanza(deb("a", "1"), nil), stanza(deb("b", "1"), nil)...),
			release: func(r *debrepo.Release) { r.Suite, r.Codename = suite, codename }}
	}
	for name, c := range map[string]struct {
		first, second forged
		held          [2]bool
	}{
		"the suite's name":          {named("stable", "bookworm"), named("stable", "trixie"), [2]bool{false, false}},
		"the suite's codename":      {named("oldstable", "stable"), named("oldoldstable", "stable"), [2]bool{false, false}},
		"no name":                   {named("", ""), named("", ""), [2]bool{false, false}},
		"another one at first":      {named("testing", "trixie"), named("testing", "trixie"), [2]bool{true, false}}, // approved, once
		"another one in its place":  {named("stable", "bookworm"), named("testing", "trixie"), [2]bool{false, true}},
		"an alias of something new": {named("testing", "trixie"), named("testing", "forky"), [2]bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.publish(good)
			for i, f := range []forged{c.first, c.second} {
				s.forge(f)
				r := s.cycle()
				if r.Err != nil || r.Number == 0 || (len(r.Info.Renamed) > 0) != c.held[i] {
					t.Fatalf("Release %d: held %q, %+v", i+1, r.Info.Renamed, r)
				}
			}
		})
	}
}

// TestKeyExpires warns from 30 days before a key expires, and when it has.
func TestKeyExpires(t *testing.T) {
	end := debrepotest.Epoch.Add(400 * 24 * time.Hour)
	for name, c := range map[string]struct {
		days int // before the end
		text string
	}{
		"in good time": {31, ""},
		"soon":         {29, " expires on 2021-02-04"},
		"expired":      {-1, " has expired on 2021-02-04"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.keys = []*openpgp.Entity{debrepotest.NewExpiringKey("short", 400*24*time.Hour)}
			if err := os.WriteFile(filepath.Join(s.b.Dir, "keyring.gpg"), debrepotest.PublicKeys(s.keys...), 0o644); err != nil {
				t.Fatal(err)
			}
			now := end.Add(-60 * 24 * time.Hour)
			s.engine = s.archive.engine(s.b, func(c *apt.Config) { c.Now = func() time.Time { return now } })
			s.b.Verify.Now = func() time.Time { return now }
			s.date = now.Add(-time.Hour)
			s.publish(good)
			s.mustCycle(t)
			now = end.Add(-time.Duration(c.days) * 24 * time.Hour)
			r := s.cycle()
			if c.text == "" {
				quiet(t, r)
				return
			}
			told(t, r.Notes, false, c.text)
		})
	}
}
