package pypi_test

import (
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
)

// TestLessThanBefore: a page that lacks files, or is not there, is believed at once
// where another answer says the same: a newer serial, or the root page. Otherwise
// it is believed when it comes again.
func TestLessThanBefore(t *testing.T) {
	quiet := func(s *stage) {
		for _, p := range s.projects {
			p.Serial, p.Quiet = 0, true
		}
		s.serial = 0
	}
	fewer := func(n int) func(*stage) {
		return func(s *stage) {
			s.projects["alpha"].Files = s.projects["alpha"].Files[:n]
			s.now = s.now.Add(30 * 24 * time.Hour) // its turn has come
		}
	}
	absent := func(s *stage) {
		s.change("alpha", func(*project) {})
		answer(bad, 404, "", "")(s)
	}
	for name, c := range map[string]struct {
		quiet  bool
		less   func(*stage)
		doubt  bool
		change func(*pypi.Config)
		left   int // files of alpha at the end, -1 if the project is gone
	}{
		"no file, with a new serial":          {less: func(s *stage) { s.set("alpha") }},
		"no file, with the same serial":       {less: fewer(0), doubt: true},
		"no file, without serials":            {quiet: true, less: fewer(0), doubt: true},
		"fewer files, with the same serial":   {less: fewer(1), doubt: true, left: 1},
		"fewer files, without serials":        {quiet: true, less: fewer(1), doubt: true, left: 1},
		"404 of a project that is listed":     {less: absent, doubt: true, left: -1},
		"404 of a project that is not listed": {less: func(s *stage) { s.remove("alpha") }, left: -1},
		"404 of a project that is named": {less: func(s *stage) { s.remove("alpha") }, doubt: true, left: -1,
			change: func(c *pypi.Config) { c.Projects = []string{"alpha", "beta"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.change)
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			s.set("beta", s.wheel("beta", "1"))
			if c.quiet {
				quiet(s)
			}
			s.mustCycle(t)
			c.less(s)
			if c.doubt {
				r := s.cycle()
				noted(t, r, "alpha", fault.Stale, "the next cycle asks again")
				if r.Err != nil || r.Number != 0 || len(s.links("alpha")) != 2 || len(s.listed()) != 2 {
					t.Fatalf("want it doubted: %+v", r)
				}
				s.now = s.now.Add(time.Hour)
			}
			r := s.mustCycle(t)
			if r.Info.Drops == 0 || len(r.Info.Emptied) > 0 || len(s.links("alpha")) != max(c.left, 0) || len(s.listed()) != 2+min(c.left, 0) {
				t.Errorf("want it believed: %+v, %v, %v", r, s.links("alpha"), s.listed())
			}
			s.setAlter(nil)
			s.now = s.now.Add(time.Hour)
			if r := s.cycle(); c.left >= 0 && (r.Number != 0 || len(r.Notes) != 0) {
				t.Errorf("want it settled: %+v", r)
			}
		})
	}
}

// TestOneDoubtedAnswer: what was doubted and does not come again leaves no trace,
// also where the root page stands still.
func TestOneDoubtedAnswer(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"), s.wheel("alpha", "3"))
	s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
	answer(bad, 404, "", "")(s)
	r := s.cycle()
	noted(t, r, "alpha", fault.Stale, "no other answer says so")
	if len(s.links("alpha")) != 2 || len(s.links("beta")) != 2 {
		t.Fatalf("want alpha as it was, and beta to move on: %+v", r)
	}
	s.setAlter(nil)
	s.now = s.now.Add(time.Hour)
	s.mustCycle(t)
	if len(s.links("alpha")) != 3 {
		t.Error("alpha was not asked again")
	}
}

// TestSparing: what a guard holds are the projects that lose files; others move on,
// one in quarantine is hidden, and the next plan finds what was left.
func TestSparing(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("bad", s.wheel("bad", "1"))
	s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "2"))
	s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
	s.change("bad", func(p *project) { p.Status, p.Files = "quarantined", nil })
	whole := s.engine
	s.engine = whole.Sparing()
	r := s.cycle()
	noted(t, r, "alpha", fault.Early, "approves the removals")
	if r.Err != nil || len(s.links("alpha")) != 2 || len(s.links("beta")) != 2 || len(s.links("bad")) != 0 || r.Info.Drops != r.Info.Urgent {
		t.Fatalf("%+v", r)
	}
	s.engine = whole
	if r := s.mustCycle(t); len(s.links("alpha")) != 1 || r.Info.Drops == 0 {
		t.Errorf("%+v", r)
	}
}
