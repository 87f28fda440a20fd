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
		want := string(s.u.files["dists/testing/InRelease"])
		r := s.cycle()
		if r.Number != 2 || s.b.Read("dists/testing/InRelease") != want {
			t.Fatalf("testing must move on: %+v", r)
		}
		if len(r.Notes) != 1 || r.Notes[0].Unit != "stable" || r.Notes[0].Kind != string(fault.Unproved) {
			t.Errorf("%+v", r.Notes)
		}
	}
}
