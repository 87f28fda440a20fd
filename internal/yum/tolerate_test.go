package yum_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/yum"
)

const gamma = "os/Packages/gamma++-1.0^git1-1.noarch.rpm"

// told checks that a cycle without a new generation repeats one note as known.
func (s *site) told(text string) {
	s.t.Helper()
	r := s.cycle()
	if r.Err != nil || r.Number != 0 || len(r.Notes) != 1 || !r.Notes[0].Known || !strings.Contains(r.Notes[0].Error, text) {
		s.t.Fatalf("want one known note with %q: %+v", text, r)
	}
}

// TestTolerate: one package that cannot be had, or is not what the index says,
// is left out alone, told of once, looked for again, and healed.
func TestTolerate(t *testing.T) {
	for _, c := range []struct {
		name string
		kind fault.Kind
		repo rpmrepotest.Repo
		bad  func(map[string][]byte)
	}{
		{name: "not found", kind: fault.Gone, repo: signedRepo(good, 1), bad: func(f map[string][]byte) { delete(f, gamma) }},
		{name: "not found, sha512 without sizes", kind: fault.Gone, repo: rpmrepotest.Repo{Packages: good, Signed: true, Checksum: "sha512", NoSizes: true}, bad: func(f map[string][]byte) { delete(f, gamma) }},
		{name: "other bytes", kind: fault.Unproved, repo: signedRepo(good, 1), bad: file("gamma", flip)},
		{name: "larger", kind: fault.Unproved, repo: signedRepo(good, 1), bad: file("gamma", long)},
		{name: "page in its place", kind: fault.Unproved, repo: signedRepo(good, 1), bad: file("gamma", page)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *yum.Config) { c.Tolerate = true })
			s.publish("os", c.repo)
			whole := s.files[gamma]
			s.edit(c.bad)
			r := s.cycle()
			if r.Number != 1 {
				t.Fatalf("%+v", r)
			}
			s.noted(r, c.kind, gamma+" is left out")
			if r.Notes[0].Known || !r.Notes[0].Standing || slices.Contains(s.b.Files(), gamma) || len(s.b.Read(alphaOld)) == 0 {
				t.Errorf("%+v", r.Notes)
			}
			s.told(gamma + " is left out")
			s.edit(func(f map[string][]byte) { f[gamma] = whole })
			s.must()
			s.holds("os")
			s.still()
		})
	}
}

const alphaOld = "os/Packages/alpha-1.0-1.noarch.rpm"

// TestTolerateNothingElse: what cannot be had at the moment is waited for, and
// where much is gone the repository stays as it is.
func TestTolerateNothingElse(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Tolerate = true })
	s.publish("os", signedRepo(good, 1))
	s.must()
	s.publish("os", signedRepo(next, 2))
	s.alter = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "alpha-1.1-1.noarch.rpm") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	s.refused(s.cycle(), fault.Unavailable, "alpha-1.1")
	s.alter = nil
	s.publish("os", signedRepo([]rpmrepotest.Package{p("alpha", "3"), p("beta", "3"), p("gamma++", "3")}, 3))
	s.edit(func(f map[string][]byte) {
		delete(f, "os/Packages/alpha-3-1.noarch.rpm")
		delete(f, "os/Packages/beta-3-1.noarch.rpm")
	})
	r := s.cycle()
	if r.Number != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Error, "2 packages cannot be had, more than the 1 that are tolerated") {
		t.Errorf("%+v", r)
	}
}

// TestTolerateUnproved: a package that nobody of the keyring signed is left out,
// and fetched again only when the keyring changes.
func TestTolerateUnproved(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Tolerate, c.Proof = true, yum.ByPackages })
	stranger := debrepotest.NewKey("stranger")
	s.publish("os", rpmrepotest.Repo{Packages: good[:2]})
	files := rpmrepotest.Repo{Packages: good[2:], Key: stranger}.Files()
	s.publish("os", rpmrepotest.Repo{Packages: good, Bytes: map[string][]byte{"gamma++": files["Packages/gamma++-1.0^git1-1.noarch.rpm"]}})
	r := s.cycle()
	if r.Number != 1 {
		t.Fatalf("%+v", r)
	}
	s.noted(r, fault.Unproved, gamma+" is left out")
	if slices.Contains(s.b.Files(), gamma) {
		t.Error("the package is in the tree")
	}
	s.requests()
	s.told("is left out")
	if s.requests()[gamma] != 0 {
		t.Error("it was downloaded again, and nothing can have changed")
	}
	own, err := os.ReadFile(s.cfg.Keyring)
	if err == nil {
		err = os.WriteFile(s.cfg.Keyring, append(own, debrepotest.ArmoredKeys(stranger)...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.must()
	s.holds("os")
	s.still()
}

// TestTolerateConflict: a package that was replaced under its name is lost alone, and
// so is the one of two repositories that names other bytes.
func TestTolerateConflict(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Tolerate, c.Repos = true, []string{"a", "b"} })
	place := func(p rpmrepotest.Package) string { return "../pool/" + p.File() }
	s.publish("a", rpmrepotest.Repo{Packages: good, Place: place, Signed: true, Revision: 1})
	other := slices.Clone(good)
	other[0].Content = "other"
	s.publish("b", rpmrepotest.Repo{Packages: other, Place: place, Signed: true, Revision: 1})
	s.publish("a", rpmrepotest.Repo{Packages: good, Place: place, Signed: true, Revision: 1})
	r := s.cycle()
	if r.Number != 1 || len(r.Notes) != 1 || r.Notes[0].Unit != "b" || r.Notes[0].Kind != string(fault.Conflict) || !strings.Contains(r.Notes[0].Error, "pool/alpha-1.0-1.noarch.rpm is left out") {
		t.Fatalf("%+v", r)
	}
	if s.b.Read("pool/alpha-1.0-1.noarch.rpm") != string(good[0].Bytes(s.key)) {
		t.Error("the package is not the one that the first repository names")
	}
	s.told("is left out")
	s.publish("b", rpmrepotest.Repo{Packages: good, Place: place, Signed: true, Revision: 2})
	s.must()
	s.still()

	// Both get new bytes under the old name: neither has the package, until the
	// old one has gone with its grace.
	for _, dir := range []string{"a", "b"} {
		s.publish(dir, rpmrepotest.Repo{Packages: other, Place: place, Signed: true, Revision: 3})
	}
	if r := s.cycle(); r.Number != 3 || len(r.Notes) != 2 || r.Notes[0].Kind != string(fault.Conflict) || r.Info.Drops != 1 {
		t.Errorf("%+v", r)
	}
}

// TestDeltas: a delta that is gone keeps nothing back, as clients download the package instead.
func TestDeltas(t *testing.T) {
	s := newSite(t, nil)
	r := signedRepo(good, 1)
	r.Data = map[string]string{"prestodelta": `<prestodelta><newpackage name="alpha"><delta><filename>drpms/a.drpm</filename><size>3</size><checksum type="sha256">` +
		digest([]byte("abc")) + "</checksum></delta></newpackage></prestodelta>"}
	s.publish("os", r)
	got := s.cycle()
	if got.Number != 1 {
		t.Fatalf("%+v", got)
	}
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0].Error, "1 deltas are left out") {
		t.Errorf("%+v", got.Notes)
	}
	s.told("1 deltas are left out")
	s.edit(func(f map[string][]byte) { f["os/drpms/a.drpm"] = []byte("abc") })
	s.must()
	s.holds("os")
}

// TestSignedAnew: a new signature of the same repomd.xml is taken, a bad one is not.
func TestSignedAnew(t *testing.T) {
	const asc = "os/repodata/repomd.xml.asc"
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	s.must()
	sign := func(key string) []byte {
		r := signedRepo(good, 1)
		r.Key, r.SignedAt = s.key, time.Unix(1700500000, 0)
		if key == "stranger" {
			r.Key = debrepotest.NewKey("stranger")
		}
		r.Packages = nil
		return r.Sign(s.files["os/repodata/repomd.xml"])
	}
	anew := sign("own")
	s.edit(func(f map[string][]byte) { f[asc] = anew })
	s.must()
	if s.b.Read(asc) != string(anew) {
		t.Error("the signature is the old one")
	}
	s.still()
	bad := sign("stranger")
	s.edit(func(f map[string][]byte) { f[asc] = bad })
	s.refused(s.cycle(), fault.Unproved, asc)
	s.edit(func(f map[string][]byte) { delete(f, asc) })
	s.still()
}

// TestSimpleNamesStay: data under a simple name that the next repomd.xml does
// not name stays for the grace, for clients that read the one before.
func TestSimpleNamesStay(t *testing.T) {
	for grace, stays := range map[time.Duration]bool{time.Hour: true, 0: false} {
		s := newSite(t, func(c *yum.Config) { c.Grace = grace })
		s.publish("os", rpmrepotest.Repo{Packages: good, Signed: true, Revision: 1, Simple: true})
		s.must()
		s.publish("os", rpmrepotest.Repo{Packages: next, Signed: true, Revision: 2, Simple: true, Form: "zst"})
		s.must()
		s.publish("os", rpmrepotest.Repo{Packages: next, Signed: true, Revision: 3, Simple: true, Form: "zst"})
		s.must()
		if got := slices.Contains(s.b.Files(), "os/repodata/primary.xml.gz"); got != stays {
			t.Errorf("grace %s: primary.xml.gz of before is there: %v", grace, got)
		}
		s.still()
	}
}
