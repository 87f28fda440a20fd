package apt_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
)

func two(c *apt.Config) { c.Suites = []string{"stable", "testing"} }

// publishTwo publishes two suites.
func (s *stage) publishTwo(stable, testing []debrepotest.Package) {
	s.publish(map[string][]debrepotest.Package{"stable": stable, "testing": testing})
}

func (s *stage) mustCycle(t *testing.T) {
	t.Helper()
	if r := s.cycle(); r.Err != nil || r.Number == 0 || len(r.Notes) != 0 {
		t.Fatalf("good cycle: %+v", r)
	}
}

// cycleTold wants a new generation and one note on what was left out, or none if text is empty.
func (s *stage) cycleTold(t *testing.T, text string) {
	t.Helper()
	r := s.cycle()
	told := len(r.Notes) == 0 && text == "" || len(r.Notes) == 1 && text != "" && strings.Contains(r.Notes[0].Error, text) && r.Notes[0].Standing
	if r.Err != nil || r.Number == 0 || !told {
		t.Fatalf("want one note with %q: %+v", text, r)
	}
}

// TestOneSuiteStays lets one of two suites be bad: the other moves on.
func TestOneSuiteStays(t *testing.T) {
	tests := []struct {
		name string
		bad  func(*stage)
		kind fault.Kind
	}{
		{"Release is a web page", func(s *stage) {
			s.edit(func(files map[string][]byte) { files[inRelease] = []byte(portal) })
		}, fault.Unproved},
		{"index is missing", func(s *stage) {
			s.edit(func(files map[string][]byte) {
				for name := range files {
					if strings.HasPrefix(name, "dists/stable/main") {
						delete(files, name)
					}
				}
			})
		}, fault.Gone},
		{"package is missing", func(s *stage) {
			s.edit(func(files map[string][]byte) { delete(files, "pool/main/c/c/c_1_amd64.deb") })
		}, fault.Gone},
		{"package changed its bytes", func(s *stage) {
			other := []byte("other")
			s.forge(forged{plain: stanza(deb("a", "1"), func(p *debrepo.Package) { p.Size, p.Hashes = 5, debrepotest.Digests(other) })})
			s.edit(func(files map[string][]byte) { files["pool/main/a/a/a_1_amd64.deb"] = other })
		}, fault.Conflict},
		{"component is missing", func(s *stage) {
			s.forge(forged{release: func(r *debrepo.Release) { r.Files = nil }})
		}, fault.Config},
		{"package in place of an index", func(s *stage) {
			s.forge(forged{plain: stanza(deb("c", "1"), func(p *debrepo.Package) { p.Filename = "dists/testing/InRelease" })})
		}, fault.Hostile},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, two)
			s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("x", "1")})
			s.mustCycle(t)
			was := s.b.Read(inRelease)
			s.publishTwo([]debrepotest.Package{deb("a", "1"), deb("c", "1")}, []debrepotest.Package{deb("x", "2")})
			want := string(s.u.files["dists/testing/InRelease"])
			c.bad(s)
			r := s.cycle()
			if r.Err != nil || r.Number != 2 {
				t.Fatalf("the other suite must move on: %+v", r)
			}
			noted(t, r, c.kind, "")
			if s.b.Read(inRelease) != was || s.b.Read("dists/testing/InRelease") != want {
				t.Error("want stable as it was and testing as it is")
			}
			s.publishTwo([]debrepotest.Package{deb("a", "1"), deb("c", "1")}, []debrepotest.Package{deb("x", "2")})
			s.mustCycle(t)
		})
	}
}

// TestSharedPool lets two suites name the same packages.
func TestSharedPool(t *testing.T) {
	s := newStage(t, two)
	s.publishTwo([]debrepotest.Package{deb("a", "1"), deb("b", "1")}, []debrepotest.Package{deb("a", "1")})
	s.mustCycle(t)
	s.publishTwo([]debrepotest.Package{deb("c", "1")}, []debrepotest.Package{deb("a", "1"), deb("c", "1")})
	r := s.cycle()
	if r.Number != 2 || r.Info.Adds != 1 || r.Info.Drops != 1 || r.Info.BaseObjects != 2 {
		t.Fatalf("c came for both, b went, a is still named: %+v", r)
	}
	s.publishTwo([]debrepotest.Package{deb("c", "1")}, []debrepotest.Package{deb("c", "1"), deb("b", "1")})
	s.u.requests()
	if r = s.cycle(); r.Number != 3 || r.Info.Adds != 1 || r.Info.Drops != 1 {
		t.Fatalf("b came back, a went: %+v", r)
	}
	if s.u.hits["pool/main/b/b/b_1_amd64.deb"] != 0 {
		t.Error("b was retained, and fetched again")
	}
}

// contradict makes stable and testing name one path with different bytes.
func contradict(s *stage, suite string) {
	other := []byte("bytes of " + suite)
	s.forge(forged{suite: suite, plain: stanza(deb("d", "1"), func(p *debrepo.Package) {
		p.Size, p.Hashes = int64(len(other)), debrepotest.Digests(other)
	})})
	s.edit(func(files map[string][]byte) { files["pool/main/d/d/d_1_amd64.deb"] = other })
}

// TestTwoSuitesContradict lets two suites name one path with different bytes.
func TestTwoSuitesContradict(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %v", replace), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(c *apt.Config) { two(c); c.Replace = replace })
			s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1")})
			s.mustCycle(t)
			was := s.b.Read("dists/testing/InRelease")
			contradict(s, "testing")
			contradict(s, "stable")
			r := s.cycle()
			if r.Number != 2 || len(r.Notes) != 1 || r.Notes[0].Unit != "testing" || r.Notes[0].Kind != string(fault.Conflict) {
				t.Fatalf("want stable to have its way, and testing to stay: %+v", r)
			}
			if s.b.Read("dists/testing/InRelease") != was {
				t.Error("testing has moved")
			}
			// Now one suite stands still and the other would replace what it names.
			contradict(s, "testing")
			if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || r.Notes[0].Unit != "testing" || r.Notes[0].Kind != string(fault.Conflict) {
				t.Fatalf("testing would break stable: %+v", r)
			}
			s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1")})
			s.mustCycle(t)
		})
	}
}

// rebuild gives package a other bytes under its name, and adds package c.
func rebuild(s *stage, bytes string) {
	s.publish(next)
	s.forge(forged{plain: append(stanza(deb("c", "1"), nil), stanza(deb("a", "1"), func(p *debrepo.Package) {
		p.Size, p.Hashes = int64(len(bytes)), debrepotest.Digests([]byte(bytes))
	})...)})
	s.edit(func(files map[string][]byte) { files["pool/main/a/a/a_1_amd64.deb"] = []byte(bytes) })
}

func TestReplace(t *testing.T) {
	const a, c = "pool/main/a/a/a_1_amd64.deb", "pool/main/c/c/c_1_amd64.deb"
	s := newStage(t, func(c *apt.Config) { c.Replace = true })
	s.publish(good)
	s.mustCycle(t)

	t.Run("not before the suite is whole", func(t *testing.T) {
		rebuild(s, "rebuilt")
		s.edit(func(files map[string][]byte) { delete(files, c) })
		before := snapshot(t, s.b)
		refused(t, s.cycle(), fault.Gone, c)
		unchanged(t, before, s.b)
	})
	t.Run("not by what cannot be had", func(t *testing.T) {
		rebuild(s, "rebuilt otherwise")
		s.edit(func(files map[string][]byte) { files[a] = []byte("neither") })
		before := snapshot(t, s.b)
		refused(t, s.cycle(), fault.Unproved, a)
		unchanged(t, before, s.b)
	})
	t.Run("with the suite", func(t *testing.T) {
		rebuild(s, "rebuilt")
		if r := s.cycle(); r.Number == 0 || r.Info.Adds != 1 || s.b.Read(a) != "rebuilt" {
			t.Fatalf("want new bytes and one more package: %+v, %q", r, s.b.Read(a))
		}
	})
	t.Run("what is retained", func(t *testing.T) {
		s.publish(map[string][]debrepotest.Package{"stable": {deb("b", "1")}})
		s.mustCycle(t)
		rebuild(s, "once more")
		s.mustCycle(t)
		if s.b.Read(a) != "once more" {
			t.Errorf("got %q", s.b.Read(a))
		}
	})
}

// TestMassRemoval shows what the guard is told.
func TestMassRemoval(t *testing.T) {
	s := newStage(t, nil)
	var fifty []debrepotest.Package
	for i := range 50 {
		fifty = append(fifty, deb(fmt.Sprintf("p%02d", i), "1"))
	}
	s.publish(map[string][]debrepotest.Package{"stable": fifty})
	s.mustCycle(t)

	s.publish(map[string][]debrepotest.Package{"stable": nil})
	if r := s.cycle(); r.Info.Drops != 50 || r.Info.BaseObjects != 50 || !slices.Equal(r.Info.Emptied, []string{"stable/main"}) {
		t.Errorf("emptied suite: %+v", r.Info)
	}
	s.publish(map[string][]debrepotest.Package{"stable": fifty})
	s.mustCycle(t)
	s.publish(map[string][]debrepotest.Package{"stable": {deb("other", "1")}})
	if r := s.cycle(); r.Info.Drops != 50 || r.Info.BaseObjects != 50 || r.Info.Adds != 1 || r.Info.Emptied != nil {
		t.Errorf("all packages replaced: %+v", r.Info)
	}
}

func TestSuiteLeavesTheSpec(t *testing.T) {
	s := newStage(t, two)
	s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1"), deb("x", "1")})
	s.mustCycle(t)
	s.engine = s.archive.engine(s.b, nil)
	r := s.cycle()
	if r.Number != 2 || r.Info.Drops != 1 || !slices.Equal(r.Info.Emptied, []string{"testing"}) {
		t.Fatalf("%+v", r)
	}
	for _, f := range s.b.Files() {
		if strings.HasPrefix(f, "dists/testing/") && !strings.Contains(f, "/by-hash/") {
			t.Errorf("%s is still served", f)
		}
	}
}

// TestFallbacks shows what upstreams lack without being wrong.
func TestFallbacks(t *testing.T) {
	tests := []struct {
		name   string
		remove func(path string) bool
		want   string // a file of the tree
		told   string // in a note
	}{
		{"by-hash", func(p string) bool { return strings.Contains(p, "/by-hash/") }, inRelease, ""},
		{"InRelease", func(p string) bool { return p == inRelease }, "dists/stable/Release.gpg", ""},
		{"one compression", func(p string) bool {
			return strings.HasSuffix(p, ".xz") || strings.Contains(p, "/by-hash/")
		}, "dists/stable/main/binary-amd64/Packages.gz", "Packages.xz"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			for _, packages := range []map[string][]debrepotest.Package{good, next} {
				s.publish(packages)
				s.edit(func(files map[string][]byte) {
					for name := range files {
						if c.remove(name) {
							delete(files, name)
						}
					}
				})
				s.cycleTold(t, c.told)
				if got := s.b.Read(c.want); got != string(s.u.files[c.want]) {
					t.Errorf("%s is not upstream's", c.want)
				}
			}
		})
	}
}

// TestFlip publishes while the indexes are read: the cycle heals by itself.
func TestFlip(t *testing.T) {
	s := newStage(t, nil)
	s.publish(good)
	s.mustCycle(t)
	s.publish(map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("d", "1")}})
	flipped := false
	s.u.alter = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, inRelease) && !flipped {
			flipped = true // the answer is still the Release of before
			s.publish(next)
		}
		return false
	}
	r := s.cycle()
	if !flipped || r.Number != 2 || len(r.Notes) != 0 || r.Err != nil {
		t.Fatalf("flipped %v: %+v", flipped, r)
	}
	if diff := cmp.Diff([]string{"a_1_amd64.deb", "b_1_amd64.deb", "c_1_amd64.deb"}, pool(s.b.Files())); diff != "" {
		t.Error(diff)
	}
}

func TestKeyringMissing(t *testing.T) {
	s := newStage(t, func(c *apt.Config) { c.Keyring += ".not" })
	s.publish(good)
	r := s.cycle()
	if fault.KindOf(r.Err) != fault.Config || !strings.Contains(r.Err.Error(), ".not") || !strings.Contains(r.Err.Error(), "; ") {
		t.Errorf("%v", r.Err)
	}
	s.engine = s.archive.engine(s.b, nil)
	if err := os.WriteFile(s.b.Dir+"/keyring.gpg", []byte("no keys"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r = s.cycle(); fault.KindOf(r.Err) != fault.Config {
		t.Errorf("%v", r.Err)
	}
}

// TestFrozenSuite lets Valid-Until pass while upstream publishes nothing.
func TestFrozenSuite(t *testing.T) {
	now := time.Now()
	s := newStage(t, func(c *apt.Config) { c.Now = func() time.Time { return now } })
	s.valid = now.Add(time.Hour)
	s.publish(good)
	s.mustCycle(t)
	now = now.Add(2 * time.Hour)
	refused(t, s.cycle(), fault.Stale, "Valid-Until")
	s.valid = time.Time{}
	s.publish(good)
	s.mustCycle(t)
}

// TestPoolBelowDists mirrors an archive that keeps its packages there.
func TestPoolBelowDists(t *testing.T) {
	const name = "dists/stable/pool/amd64/c_1_amd64.deb"
	s := newStage(t, nil)
	s.forge(forged{plain: stanza(deb("c", "1"), func(p *debrepo.Package) { p.Filename = name })})
	s.edit(func(files map[string][]byte) { files[name] = deb("c", "1").Bytes() })
	s.mustCycle(t)
	if s.b.Read(name) != string(deb("c", "1").Bytes()) {
		t.Error("not there")
	}
}

// TestFlatRootCountsPackages shows that indexes under their digests at the top
// of a flat repository do not look like removed packages.
func TestFlatRootCountsPackages(t *testing.T) {
	s := newStage(t, func(c *apt.Config) { c.Suites, c.Components = []string{"./"}, nil })
	publish := func(packages ...debrepotest.Package) {
		var plain []byte
		for _, p := range packages {
			plain = append(append(plain, stanza(p, nil)...), '\n')
		}
		s.forge(forged{plain: plain,
			release: func(r *debrepo.Release) {
				for i, f := range r.Files {
					r.Files[i].Path = path.Base(f.Path)
				}
			},
			files: func(files map[string][]byte) {
				for name, data := range maps.Clone(files) {
					delete(files, name)
					files[strings.TrimPrefix(strings.TrimPrefix(name, "dists/stable/"), "main/binary-amd64/")] = data
				}
				for _, p := range packages {
					files["pool/main/"+p.Name[:1]+"/"+p.Name+"/"+p.Filename()] = p.Bytes()
				}
			}})
	}
	publish(deb("a", "1"), deb("b", "1"))
	s.mustCycle(t)
	publish(deb("a", "1"), deb("b", "1"), deb("c", "1"))
	if r := s.cycle(); r.Err != nil || r.Number != 2 || r.Info.Adds != 1 || r.Info.Drops != 0 || r.Info.BaseObjects != 2 {
		t.Errorf("one package more: %+v", r)
	}
}

// TestEqualIndexesAreOneByHashFile shows that translations of the same content,
// which share their names by hash, do not make the mirror look smaller.
func TestEqualIndexesAreOneByHashFile(t *testing.T) {
	s := newStage(t, func(c *apt.Config) { c.Translations = []string{"de", "en"} })
	data := []byte("Package: a\n")
	s.publish(map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("b", "1")}})
	forge := func(packages ...debrepotest.Package) {
		var plain []byte
		for _, p := range packages {
			plain = append(append(plain, stanza(p, nil)...), '\n')
		}
		s.forge(forged{plain: plain,
			release: func(r *debrepo.Release) {
				for _, l := range []string{"de", "en"} {
					r.Files = append(r.Files, debrepo.File{Path: "main/i18n/Translation-" + l, Size: int64(len(data)), Hashes: debrepotest.Digests(data)})
				}
			},
			files: func(files map[string][]byte) {
				files["dists/stable/main/i18n/Translation-de"], files["dists/stable/main/i18n/Translation-en"] = data, data
			}})
	}
	forge(deb("a", "1"), deb("b", "1"))
	s.mustCycle(t)
	forge(deb("a", "1"))
	if r := s.cycle(); r.Err != nil || r.Info.Drops != 1 || r.Info.BaseObjects != 2 {
		t.Errorf("one package less: %+v", r)
	}
}

// TestStepsOfSuites: a tree gets its first suites one step after the other, and
// one that it has already waits for none.
func TestStepsOfSuites(t *testing.T) {
	s := newStage(t, func(c *apt.Config) {
		two(c)
		c.Step.Objects = 1
	})
	s.publishTwo([]debrepotest.Package{deb("a", "1"), deb("b", "1")}, []debrepotest.Package{deb("a", "1"), deb("c", "1")})
	if r := s.cycle(); r.Err != nil || r.Number != 1 || r.Info.Adds != 2 || r.Info.Left != 1 {
		t.Fatalf("the first step: %+v", r)
	}
	s.u.requests()
	if r := s.cycle(); r.Err != nil || r.Number != 2 || r.Info.Adds != 1 || r.Info.Left != 0 {
		t.Fatalf("the second step names what the first one has landed: %+v", r)
	}
	if s.u.hits["pool/main/a/a/a_1_amd64.deb"] != 0 {
		t.Error("a was fetched twice")
	}
	s.publishTwo([]debrepotest.Package{deb("d", "1")}, []debrepotest.Package{deb("e", "1")})
	if r := s.cycle(); r.Err != nil || r.Number != 3 || r.Info.Left != 0 {
		t.Fatalf("both change at once: %+v", r)
	}
}
