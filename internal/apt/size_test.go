package apt_test

import (
	"testing"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
)

// TestSizeOfWhatIsHeld lists a package that the tree holds with another size.
func TestSizeOfWhatIsHeld(t *testing.T) {
	for _, replace := range []bool{false, true} {
		s := newStage(t, func(c *apt.Config) { two(c); c.Replace = replace })
		s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1")})
		s.mustCycle(t)
		s.publishTwo([]debrepotest.Package{deb("a", "1"), deb("b", "1")}, []debrepotest.Package{deb("a", "1"), deb("b", "1")})
		s.forge(forged{plain: stanza(deb("a", "1"), func(p *debrepo.Package) { p.Size++ })})
		s.testingAlone(t, fault.Unproved)
	}
}

// TestFirstSuiteContradictsUpstream lets two suites name one path, the first with
// what upstream does not have: the other moves on.
func TestFirstSuiteContradictsUpstream(t *testing.T) {
	const d = "pool/main/d/d/d_1_amd64.deb"
	right := []byte("right")
	for _, wrong := range []string{"digest", "size"} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, two)
			s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1")})
			s.mustCycle(t)
			for _, suite := range []string{"stable", "testing"} {
				s.forge(forged{suite: suite, plain: stanza(deb("d", "1"), func(p *debrepo.Package) {
					p.Size, p.Hashes = int64(len(right)), debrepotest.Digests(right)
					switch {
					case suite == "testing":
					case wrong == "size":
						p.Size++
					default:
						p.Hashes = debrepotest.Digests([]byte("wrong"))
					}
				})})
			}
			s.edit(func(files map[string][]byte) { files[d] = right })
			s.testingAlone(t, fault.Unproved)
		})
	}
}

// TestFirstSuiteContradictsTheTree lets a suite newly name a package that the
// tree holds, while the first would change its bytes: the other moves on.
func TestFirstSuiteContradictsTheTree(t *testing.T) {
	s := newStage(t, two)
	s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("b", "1")})
	s.mustCycle(t)
	s.publishTwo([]debrepotest.Package{deb("a", "1")}, []debrepotest.Package{deb("a", "1")})
	s.forge(forged{plain: stanza(deb("a", "1"), func(p *debrepo.Package) { p.Hashes = debrepotest.Digests([]byte("other")) })})
	s.testingAlone(t, fault.Conflict)
}

// testingAlone checks that of two suites testing moves on and stable stays, for a reason of this kind.
func (s *stage) testingAlone(t *testing.T, kind fault.Kind) {
	t.Helper()
	want := string(s.u.files["dists/testing/InRelease"])
	r := s.cycle()
	if r.Number != 2 || s.b.Read("dists/testing/InRelease") != want {
		t.Fatalf("testing must move on: %+v", r)
	}
	if len(r.Notes) != 1 || r.Notes[0].Unit != "stable" || r.Notes[0].Kind != string(kind) {
		t.Errorf("%+v", r.Notes)
	}
}
