package yum_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/yum"
)

func TestCycles(t *testing.T) {
	for name, change := range map[string]func(*rpmrepotest.Repo){
		"signed repomd":        func(r *rpmrepotest.Repo) { r.Signed = true },
		"signed packages":      func(*rpmrepotest.Repo) {},
		"xz, sha512":           func(r *rpmrepotest.Repo) { r.Form, r.Checksum = "xz", "sha512" },
		"zst, sha1":            func(r *rpmrepotest.Repo) { r.Form, r.Checksum = "zst", "sha1" },
		"no compression, sha":  func(r *rpmrepotest.Repo) { r.Form, r.Checksum = "plain", "sha" },
		"md5 without sizes":    func(r *rpmrepotest.Repo) { r.Checksum, r.NoSizes = "md5", true },
		"sha256 without sizes": func(r *rpmrepotest.Repo) { r.NoSizes = true },
		"simple names":         func(r *rpmrepotest.Repo) { r.Simple = true },
		"types of any name": func(r *rpmrepotest.Repo) {
			r.Data = map[string]string{"x-vendor": "x", "modules": "---", "updateinfo": "<updates/>", "primary_db": "sqlite"}
		},
		"sha224, packages deep": func(r *rpmrepotest.Repo) {
			r.Checksum, r.Place = "sha224", func(p rpmrepotest.Package) string { return "./Packages//" + p.Name[:1] + "/" + p.File() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			publish := func(packages []rpmrepotest.Package, revision int64) {
				r := rpmrepotest.Repo{Packages: packages, Revision: revision}
				change(&r)
				s.publish("os", r)
			}
			publish(good, 1700000000)
			s.must()
			s.holds("os")
			s.requests()
			s.still()
			want := map[string]int{"os/repodata/repomd.xml": 1}
			if s.files["os/repodata/repomd.xml.asc"] != nil { // it may be signed anew
				want["os/repodata/repomd.xml.asc"] = 1
			}
			if d := cmp.Diff(want, s.requests()); d != "" {
				t.Errorf("nothing new cost other requests: %s", d)
			}
			before := s.b.Files()
			publish(next, 1700086400)
			r := s.must()
			s.holds("os")
			if r.Info.Adds != 1 || r.Info.Drops != 1 || r.Info.BaseObjects != 3 {
				t.Errorf("the guard would see %d adds and %d drops of %d", r.Info.Adds, r.Info.Drops, r.Info.BaseObjects)
			}
			after := s.b.Files()
			for _, f := range before { // what the old repomd.xml named stays for the grace
				if !slices.Contains(after, f) {
					t.Errorf("%s is gone with the generation that replaced it", f)
				}
			}
			publish(good, 1700172800) // what was dropped comes back, and is not fetched anew
			s.requests()
			s.must()
			for f := range s.requests() {
				if strings.HasSuffix(f, ".rpm") {
					t.Errorf("%s was downloaded again", f)
				}
			}
			s.still()
		})
	}
}

// TestPool: repositories that share rpms by "..", of which one is let go of.
func TestPool(t *testing.T) {
	s := newSite(t, func(c *yum.Config) {
		c.Repos, c.Architectures, c.Releases = []string{"$releasever/$basearch/os"}, []string{"x86_64", "aarch64"}, []string{"9"}
	})
	place := func(p rpmrepotest.Package) string { return "../../pool/" + p.File() }
	for _, arch := range []string{"x86_64", "aarch64"} {
		s.publish("9/"+arch+"/os", rpmrepotest.Repo{Packages: good, Place: place, Signed: true})
	}
	s.must()
	s.holds("9")
	// One of the two drops a package that the other still names.
	s.publish("9/aarch64/os", rpmrepotest.Repo{Packages: good[1:], Place: place, Signed: true, Revision: 1700086400})
	if r := s.must(); r.Info.Drops != 0 {
		t.Errorf("%d drops of what another repository names", r.Info.Drops)
	}
	s.publish("9/x86_64/os", rpmrepotest.Repo{Packages: good[1:], Place: place, Signed: true, Revision: 1700086400})
	if r := s.must(); r.Info.Drops != 1 {
		t.Errorf("%d drops of what none names", r.Info.Drops)
	}
	// A repository that leaves the spec takes only its own along, and the guard sees it.
	s.cfg.Architectures = []string{"x86_64"}
	if r := s.must(); r.Info.Drops != 0 || !slices.Equal(r.Info.Emptied, []string{"9/aarch64/os"}) {
		t.Errorf("%+v", r.Info)
	}
}

// TestOneRepositoryStays: what is wrong with one delays no other.
func TestOneRepositoryStays(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Repos = []string{"a", "b"} })
	s.publish("a", signedRepo(good, 1))
	s.publish("b", signedRepo(good, 1))
	s.must()
	s.publish("a", signedRepo(next, 2))
	s.publish("b", signedRepo(next, 2))
	s.edit(func(files map[string][]byte) { delete(files, "b/Packages/alpha-1.1-1.noarch.rpm") })
	r := s.cycle()
	if r.Number != 2 {
		t.Fatalf("%+v", r)
	}
	s.noted(r, fault.Gone, "alpha-1.1-1")
	if r.Notes[0].Unit != "b" {
		t.Errorf("note of %s", r.Notes[0].Unit)
	}
	s.holds("a")
	if !strings.Contains(s.b.Read("b/repodata/repomd.xml"), "<revision>1<") {
		t.Error("b has moved")
	}
}

// TestProofModes: what each mode asks of an upstream that signs this and that.
func TestProofModes(t *testing.T) {
	unsigned := slices.Clone(good)
	for i := range unsigned {
		unsigned[i].Unsigned = true
	}
	for name, tt := range map[string]struct {
		proof string
		repo  rpmrepotest.Repo
		kind  fault.Kind // "" if it is published
		text  string
	}{
		"default, repomd signed":      {"", rpmrepotest.Repo{Packages: unsigned, Signed: true}, "", ""},
		"default, packages signed":    {"", rpmrepotest.Repo{Packages: good}, "", ""},
		"default, nothing signed":     {"", rpmrepotest.Repo{Packages: unsigned}, fault.Unproved, "3 packages are not proved"},
		"repomd, packages signed":     {yum.ByRepomd, rpmrepotest.Repo{Packages: good}, fault.Unproved, "no signature"},
		"packages, packages unsigned": {yum.ByPackages, rpmrepotest.Repo{Packages: append(unsigned[:1:1], good[1:]...), Signed: true}, fault.Unproved, "1 packages are not proved"},
		"packages, packages signed":   {yum.ByPackages, rpmrepotest.Repo{Packages: good, Signed: true}, "", ""},
		"both, both signed":           {yum.ByBoth, rpmrepotest.Repo{Packages: good, Signed: true}, "", ""},
		"both, packages unsigned":     {yum.ByBoth, rpmrepotest.Repo{Packages: unsigned, Signed: true}, fault.Unproved, "packages are not proved"},
		"both, repomd unsigned":       {yum.ByBoth, rpmrepotest.Repo{Packages: good}, fault.Unproved, "no signature"},
		"none":                        {yum.ByNothing, rpmrepotest.Repo{Packages: unsigned}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *yum.Config) {
				if c.Proof = tt.proof; c.Proof == yum.ByNothing {
					c.Keyring = ""
				}
			})
			s.publish("os", tt.repo)
			if tt.kind == "" {
				s.must()
				s.holds("os")
			} else {
				s.refused(s.cycle(), tt.kind, tt.text)
			}
		})
	}
}

// TestProofChanges: a mirror that trusted everything proves all when it is asked to.
func TestProofChanges(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Proof = yum.ByNothing })
	s.b.Verify.Keyring = ""
	bad := slices.Clone(good)
	bad[0].Unsigned = true
	s.publish("os", rpmrepotest.Repo{Packages: bad})
	s.must()
	s.cfg.Proof = yum.ByPackages
	s.refused(s.cycle(), fault.Unproved, "1 packages are not proved, such as rpmrepo: verify os/Packages/alpha-1.0-1.noarch.rpm")
}

// TestMetalink: servers that are ahead, behind or dead are passed over.
func TestMetalink(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Upstreams = nil })
	s.cfg.Metalink = s.URL + "/metalink?repo=$releasever&arch=$basearch"
	s.cfg.Releases, s.cfg.Architectures = []string{"9"}, []string{"x86_64"}
	s.publish("right", signedRepo(good, 1))
	s.publish("wrong", signedRepo(next, 2))
	link := func(version string) {
		s.edit(func(files map[string][]byte) {
			files["metalink"] = []byte(`<metalink xmlns="http://www.metalinker.org/"><files><file name="repomd.xml"><verification><hash type="sha256">` +
				digest(files[version+"/repodata/repomd.xml"]) + `</hash></verification><resources>` +
				`<url preference="100">` + s.URL + `/missing/repodata/repomd.xml</url><url preference="99">` + s.URL + `/wrong/repodata/repomd.xml</url>` +
				`<url preference="98">` + s.URL + `/right/repodata/repomd.xml</url></resources></file></files></metalink>`)
		})
	}
	link("right")
	s.must()
	for _, f := range []string{"os/repodata/repomd.xml", "os/Packages/alpha-1.0-1.noarch.rpm"} {
		if got, want := s.b.Read(f), string(s.files["right"+strings.TrimPrefix(f, "os")]); got != want {
			t.Errorf("%s is not that of the right server", f)
		}
	}
	s.still()
	link("wrong")
	s.must()
	if !strings.Contains(s.b.Read("os/repodata/repomd.xml"), "<revision>2<") {
		t.Error("the new version was not taken")
	}
	s.edit(func(files map[string][]byte) { delete(files, "wrong/repodata/repomd.xml") })
	s.refused(s.cycle(), fault.Stale, "not one that the metalink names")
}

func TestMirrorList(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Upstreams, c.Repos = nil, []string{"."} })
	s.cfg.MirrorList = s.URL + "/list"
	s.publish("a", signedRepo(good, 1))
	s.edit(func(files map[string][]byte) {
		files["list"] = []byte("# servers\n" + s.URL + "/dead/\n" + s.URL + "/a/\n")
	})
	s.must()
	if got := s.b.Read("Packages/alpha-1.0-1.noarch.rpm"); got != string(s.files["a/Packages/alpha-1.0-1.noarch.rpm"]) {
		t.Error("the package is another one")
	}
	s.publish("a", rpmrepotest.Repo{Packages: good, Signed: true, Revision: 2, Place: func(p rpmrepotest.Package) string { return "../pool/" + p.File() }})
	s.refused(s.cycle(), fault.Hostile, "leaves")
}

// TestKickstart: images come with the repository; a wrong one stops no package.
func TestKickstart(t *testing.T) {
	const iso = "os/images/boot.iso"
	s := newSite(t, nil)
	publish := func(packages []rpmrepotest.Package, revision int64, image, declared string) {
		r := signedRepo(packages, revision)
		r.Beside = map[string]string{"images/boot.iso": image, "media.repo": "[InstallMedia]\n",
			".treeinfo": "[checksums]\nimages/boot.iso = sha256:" + digest([]byte(declared)) + "\n[general]\nfamily = Test\n"}
		s.publish("os", r)
	}
	publish(good, 1, "boot", "boot")
	s.must()
	s.holds("os")
	publish(next, 2, "broken", "other")
	r := s.cycle()
	if r.Number != 2 {
		t.Fatalf("%+v", r)
	}
	s.noted(r, fault.Unproved, "kickstart tree stays as it is")
	if s.b.Read(iso) != "boot" || !slices.Contains(s.b.Files(), "os/Packages/alpha-1.1-1.noarch.rpm") {
		t.Error("the tree has moved, or the packages have not")
	}
	publish(next, 3, "new", "new")
	s.must()
	s.holds("os")
}

// TestElsewhere: packages with an absolute xml:base are upstream's own, or left to clients.
func TestElsewhere(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Proof = yum.ByNothing })
	repo := func(base string) rpmrepotest.Repo {
		return rpmrepotest.Repo{Packages: good[:1], Place: func(p rpmrepotest.Package) string { return p.File() },
			Primary: func(text string) string {
				return strings.Replace(text, "<location ", `<location xml:base="`+base+`" `, 1)
			}}
	}
	s.publish("os", repo(s.URL+"/pool/"))
	s.edit(func(files map[string][]byte) {
		files["pool/alpha-1.0-1.noarch.rpm"] = files["os/alpha-1.0-1.noarch.rpm"]
	})
	s.must()
	if !slices.Contains(s.b.Files(), "pool/alpha-1.0-1.noarch.rpm") {
		t.Error("the package below upstream's own root is not mirrored")
	}
	r := repo("http://elsewhere.example.org/pool/")
	r.Revision = 1700086400
	s.publish("os", r)
	got := s.cycle()
	if got.Number == 0 || len(got.Notes) != 1 || !got.Notes[0].Standing || !strings.Contains(got.Notes[0].Error, "1 packages have an absolute xml:base elsewhere") {
		t.Errorf("%+v", got)
	}
}

// TestReplace: with on-conflict = "replace" the new bytes are taken.
func TestReplace(t *testing.T) {
	for _, sum := range []string{"sha256", "sha512"} {
		s := newSite(t, func(c *yum.Config) { c.Replace = true })
		s.publish("os", rpmrepotest.Repo{Packages: good, Signed: true, Revision: 1, Checksum: sum})
		s.must()
		other := slices.Clone(good)
		other[0].Content = "other"
		s.publish("os", rpmrepotest.Repo{Packages: other, Signed: true, Revision: 2, Checksum: sum})
		s.must()
		s.holds("os")
		s.still()
	}
}

// TestPublishedMeanwhile: upstream moves between repomd.xml and its data; the repository is begun anew.
func TestPublishedMeanwhile(t *testing.T) {
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	var once sync.Once
	s.alter = func(w http.ResponseWriter, r *http.Request) (moved bool) {
		if strings.Contains(r.URL.Path, "primary") {
			once.Do(func() {
				s.publish("os", signedRepo(next, 2))
				http.NotFound(w, r)
				moved = true
			})
		}
		return moved
	}
	s.must()
	if !strings.Contains(s.b.Read("os/repodata/repomd.xml"), "<revision>2<") {
		t.Error("the new version was not taken")
	}
}

// TestKeyringOfStrangers: keys that nobody can read are no fault beside one that is good.
func TestKeyringOfStrangers(t *testing.T) {
	s := newSite(t, nil)
	v6, err := os.ReadFile("../rpmrepo/testdata/v6.asc")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(s.cfg.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	junk := "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxgcGaQAAAGMA\n-----END PGP PUBLIC KEY BLOCK-----\n"
	if err := os.WriteFile(s.cfg.Keyring, []byte(string(v6)+junk+string(own)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.publish("os", signedRepo(good, 1))
	s.must()
}
