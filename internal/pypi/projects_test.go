package pypi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
)

// twoProjects is a mirror of alpha and beta after its first cycle.
func twoProjects(t *testing.T, change func(*pypi.Config)) *stage {
	t.Helper()
	s := newStage(t, change)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.set("beta", s.wheel("beta", "1"))
	s.mustCycle(t)
	return s
}

func TestProjectGone(t *testing.T) {
	for _, status := range []int{404, 410} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := twoProjects(t, nil)
			p := s.projects["alpha"]
			s.remove("alpha")
			if status == 410 {
				answer(bad, 410, "", "")(s)
			}
			r := s.mustCycle(t)
			if r.Info.Drops != 4 || s.links("alpha") != nil || !slices.Equal(s.listed(), []string{"beta"}) {
				t.Errorf("%+v, %v, %v", r, s.links("alpha"), s.listed())
			}
			if s.objects("alpha-1-py3-none-any.whl") != 1 || s.objects("alpha-1-py3-none-any.whl.metadata") != 1 {
				t.Error("its files are not retained")
			}
			s.setAlter(nil)
			s.projects["alpha"] = p
			s.serial += 2
			p.Serial = s.serial
			s.requests("")
			s.mustCycle(t)
			if n := s.requests(""); n != 2 {
				t.Errorf("%d requests: retained files are not fetched again", n)
			}
			if len(s.links("alpha")) != 2 || !strings.Contains(s.b.Read("simple/alpha/index.v1_json"), `"core-metadata":{"sha256":`) {
				t.Error("it came back without its files or their metadata")
			}
		})
	}
}

func TestQuarantined(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("gamma", s.wheel("gamma", "1"))
	s.mustCycle(t)
	p := *s.projects["alpha"]
	s.change("alpha", func(p *project) { p.Status, p.Files, p.Unlisted = "quarantined", nil, true })
	r := s.mustCycle(t)
	if r.Info.Emptied != nil || len(s.links("alpha")) != 0 || !slices.Equal(s.listed(), []string{"beta", "gamma"}) || s.objects(wheel2) != 1 || r.Info.Urgent != 4 || r.Info.UrgentUnits != 1 {
		t.Errorf("want a page without files, not listed, and the files retained: %+v", r)
	}
	s.requests("")
	if r := s.cycle(); r.Digest != "" || s.requests("") != 1 {
		t.Errorf("want it left alone: %+v", r)
	}
	s.change("alpha", func(q *project) { q.Status, q.Files, q.Unlisted = "", p.Files, false })
	s.mustCycle(t)
	if len(s.links("alpha")) != 2 || len(s.listed()) != 3 {
		t.Error("it is not back")
	}
}

func TestProjectFailsThenHeals(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"), s.wheel("alpha", "3"))
	s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
	answer(bad, 500, "", "")(s)
	r := s.cycle()
	noted(t, r, "alpha", fault.Unavailable, bad)
	if r.Number != 2 {
		t.Fatalf("beta must move on: %+v", r)
	}
	s.setAlter(nil) // and the root page stands still
	s.mustCycle(t)
	if len(s.links("alpha")) != 3 {
		t.Error("alpha was not asked again")
	}
}

func TestSelectionChanges(t *testing.T) {
	t.Run("keep-latest", func(t *testing.T) {
		t.Parallel()
		s := twoProjects(t, nil)
		s.configure(func(c *pypi.Config) { c.KeepLatest = 1 })
		if r := s.mustCycle(t); r.Info.Drops != 2 || !slices.Equal(s.links("alpha"), []string{wheel2}) {
			t.Errorf("%+v, %v", r, s.links("alpha"))
		}
		s.requests("")
		if r := s.cycle(); r.Digest != "" || s.requests("") != 1 {
			t.Errorf("want nothing to do: %+v", r)
		}
		s.configure(func(c *pypi.Config) { c.KeepLatest = 5 }) // which changes no page of beta
		s.mustCycle(t)
		s.requests("")
		if r := s.cycle(); r.Digest != "" || s.requests("") != 1 {
			t.Errorf("want nothing to do: %+v", r)
		}
	})
	t.Run("project removed", func(t *testing.T) {
		t.Parallel()
		s := twoProjects(t, nil)
		s.configure(func(c *pypi.Config) { c.Exclude = []string{"alph*"} })
		if r := s.mustCycle(t); r.Info.Drops != 4 || s.links("alpha") != nil || s.objects(wheel2) != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("everything removed", func(t *testing.T) {
		t.Parallel()
		s := twoProjects(t, nil)
		s.configure(func(c *pypi.Config) { c.Projects = []string{"zzz*"} })
		if r := s.cycle(); r.Info.Drops != 6 || !slices.Equal(r.Info.Emptied, []string{"project-list"}) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("project added while the root stands still", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, func(c *pypi.Config) { c.Projects = []string{"al*"} })
		s.set("alpha", s.wheel("alpha", "1"))
		s.set("beta", s.wheel("beta", "1"))
		s.mustCycle(t)
		s.configure(func(c *pypi.Config) { c.Projects = []string{"al*", "be*"} })
		s.mustCycle(t)
		if len(s.links("beta")) != 1 {
			t.Error("beta is not there")
		}
	})
}

func TestNamedProjects(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.Projects = []string{"alpha", "nothing"} })
	s.set("alpha", s.wheel("alpha", "1"))
	r := s.cycle()
	if r.Number != 1 {
		t.Fatalf("%+v", r)
	}
	noted(t, r, "nothing", fault.Gone, "simple/nothing/")
	if s.requests("simple/") != 0 {
		t.Error("the root page was asked for")
	}
	s.requests("")
	if r := s.cycle(); r.Digest != "" || s.requests("") != 2 {
		t.Errorf("want two conditional requests: %+v", r)
	}
	s.setAlter(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
	if r := s.cycle(); fault.KindOf(r.Err) != fault.Unavailable || r.Digest != "" {
		t.Errorf("want the error when nothing can be asked: %+v", r)
	}
}

// TestNamedProjectsAskAgain lets a file of a project that the spec names fail
// once: it is asked for again although its page stands still.
func TestNamedProjectsAskAgain(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.Projects = []string{"alpha"} })
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, wheel2) {
			return false
		}
		http.NotFound(w, r)
		return true
	})
	if r := s.cycle(); r.Number != 1 || len(s.links("alpha")) != 1 {
		t.Fatalf("want a page without the file: %+v", r)
	}
	s.setAlter(nil)
	s.mustCycle(t)
	if got := s.links("alpha"); len(got) != 2 {
		t.Errorf("the file that failed once is still left off: %v", got)
	}
}

func TestMetadata(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MB
	tests := []struct {
		name  string
		wheel []byte
		want  bool
	}{
		{"a wheel", zipped("alpha-1.dist-info/METADATA", "Name: alpha\n"), true},
		{"no zip at all", []byte("this is no zip file"), false},
		{"no dist-info", zipped("alpha/__init__.py", ""), false},
		{"two dist-info directories", zipped("alpha-1.dist-info/METADATA", "Name: alpha\n", "beta-1.dist-info/METADATA", "Name: beta\n"), false},
		{"bomb", zipped("alpha-1.dist-info/METADATA", strings.Repeat(large, 9)), false},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.set("alpha", s.file("alpha-1-py3-none-any.whl", c.wheel))
			s.mustCycle(t)
			advertised := strings.Contains(s.b.Read("simple/alpha/index.v1_json"), `"core-metadata":{"sha256":`)
			if advertised != c.want || (s.objects("alpha-1-py3-none-any.whl.metadata") == 1) != c.want || len(s.links("alpha")) != 1 {
				t.Errorf("metadata advertised %v, want %v; page %v", advertised, c.want, s.links("alpha"))
			}
		})
	}
}

// TestQuietUpstream mirrors an index that names no serials in its pages, as a
// static mirror does.
func TestQuietUpstream(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.projects["alpha"].Quiet = true
	s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.mustCycle(t)
	if r := s.cycle(); r.Digest != "" {
		t.Errorf("%+v", r)
	}
}

// TestSharedFile lets two projects list one file, whose name may be of either.
func TestSharedFile(t *testing.T) {
	s := newStage(t, nil)
	shared := s.file("alpha-x-1.tar.gz", []byte("shared"))
	s.set("alpha", shared)
	s.set("alpha-x", shared)
	s.mustCycle(t)
	s.set("alpha", s.wheel("alpha", "1"))
	s.mustCycle(t) // which verifies that the page of alpha-x still holds
	if diff := cmp.Diff([]string{"alpha-x-1.tar.gz"}, s.links("alpha-x")); diff != "" {
		t.Error(diff)
	}
	s.set("alpha-x", s.wheel("alpha_x", "2"))
	s.mustCycle(t)
}

// TestSharedFileOfOtherSpelling is TestSharedFile with a name in which the other
// project is spelt as build tools spell it.
func TestSharedFileOfOtherSpelling(t *testing.T) {
	for _, name := range []string{"alpha_x-1.tar.gz", "alpha.x-1.tar.gz"} {
		s := newStage(t, nil)
		shared := s.file(name, []byte("shared"))
		s.set("alpha", shared)
		s.set("alpha-x", shared)
		s.mustCycle(t)
		s.set("alpha-x", s.wheel("alpha_x", "2"))
		s.mustCycle(t) // which verifies that the page of alpha still holds
		if len(s.links("alpha")) != 1 {
			t.Error("alpha lost its file")
		}
		s.set("alpha", s.wheel("alpha", "1"))
		s.mustCycle(t)
	}
}

// TestHugePage refuses a page beyond all measure before it is read.
func TestHugePage(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("alpha", s.wheel("alpha", "3"))
	blank := strings.Repeat(" ", 1<<20)
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/"+bad {
			return false
		}
		w.Header().Set("Content-Type", mediaJSON)
		for range 65 {
			if _, err := w.Write([]byte(blank)); err != nil {
				break
			}
		}
		return true
	})
	r := s.cycle()
	if r.Number != 0 {
		t.Fatalf("%+v", r)
	}
	noted(t, r, "alpha", fault.Hostile, "larger than the limit")
}
