package pypi_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
)

// onlyHTML makes upstream an index as PEP 503 has it, below root; link writes the
// URL of a file.
func (s *stage) onlyHTML(root string, link func(path string) string) {
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		rest, ok := strings.CutPrefix(r.URL.Path, root)
		name := strings.Trim(rest, "/")
		if !ok || strings.HasPrefix(name, "packages/") {
			return false
		}
		var b strings.Builder
		b.WriteString("<!DOCTYPE html><html><head><title>Simple index</title></head><body>\n")
		p := s.projects[name]
		switch {
		case name == "":
			for _, name := range slices.Sorted(maps.Keys(s.projects)) {
				fmt.Fprintf(&b, "<a href=\"%s/\">%s</a>\n", name, name)
			}
		case p == nil:
			http.NotFound(w, r)
			return true
		default:
			for _, f := range p.Files {
				fragment := ""
				if f.Hashes["sha256"] != "" {
					fragment = "#sha256=" + f.Hashes["sha256"]
				}
				fmt.Fprintf(&b, "<a href=\"%s%s\" data-requires-python=\"&gt;=3.8\">%s</a><br>\n", link(strings.TrimPrefix(f.URL, "../../")), fragment, f.Filename)
			}
		}
		b.WriteString("</body></html>\n")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(b.String()))
		return true
	})
}

// TestIndexesInHTML are mirrored wherever their root is and however they link.
func TestIndexesInHTML(t *testing.T) {
	for name, c := range map[string]struct {
		root   string
		link   func(s *stage) func(string) string
		config func(s *stage, c *pypi.Config)
	}{
		"below simple, relative": {"/simple/", func(*stage) func(string) string { return func(p string) string { return "../../" + p } }, nil},
		"a root of its own, absolute": {"/whl/cu121/", func(s *stage) func(string) string { return func(p string) string { return s.URL + "/" + p } },
			func(s *stage, c *pypi.Config) { c.Upstreams, c.Indexes = nil, []string{s.URL + "/whl/cu121"} }},
		"from the site's root, the upstream with simple": {"/root/pypi/simple/", func(*stage) func(string) string { return func(p string) string { return "/" + p } },
			func(s *stage, c *pypi.Config) { c.Upstreams = []string{s.URL + "/root/pypi/simple/"} }},
		"named projects": {"/simple/", func(*stage) func(string) string { return func(p string) string { return "../../" + p } },
			func(_ *stage, c *pypi.Config) { c.Projects = []string{"alpha", "beta"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			if c.config != nil {
				s.configure(func(cfg *pypi.Config) { c.config(s, cfg) })
			}
			bare := s.file("alpha-0.1.zip", []byte("nothing proves it"))
			bare.Hashes = nil
			s.set("alpha", bare, s.wheel("alpha", "1"))
			s.set("beta", s.wheel("beta", "1"))
			s.onlyHTML(c.root, c.link(s))
			told := s.cycle()
			if told.Err != nil || told.Number != 1 || told.Info.Refused != 1 || len(told.Notes) != 2 {
				t.Fatalf("want a refused file, and to be told of HTML: %+v", told)
			}
			if text := told.Notes[0].Error; !strings.Contains(text, "alpha-0.1.zip") || told.Notes[0].Kind != string(fault.Unproved) {
				t.Error(text)
			}
			if d := cmp.Diff([]string{"alpha-1-py3-none-any.whl"}, s.links("alpha")); d != "" {
				t.Error(d)
			}
			if e := s.entry("alpha", "alpha-1-py3-none-any.whl"); !strings.Contains(e, `"size":`) || !strings.Contains(e, `"requires-python":">=3.8"`) || !strings.Contains(e, `"core-metadata":{"sha256"`) {
				t.Error(e)
			}
			if r := s.cycle(); r.Digest != "" || len(r.Notes) != 2 || !r.Notes[0].Known || !r.Notes[1].Known {
				t.Errorf("nothing new: %+v", r)
			}
			s.change("alpha", func(p *project) { p.Files = append(p.Files, s.wheelAt("alpha", "2")) })
			if r := s.cycle(); r.Number != 2 || len(s.links("alpha")) != 2 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestJSONUnderAnyType: what a page is, its first byte says.
func TestJSONUnderAnyType(t *testing.T) {
	for _, media := range []string{"application/octet-stream", "application/json; charset=utf-8", "text/plain", "text/html", "", "application/vnd.pypi.simple.latest+json"} {
		s := newStage(t, nil)
		s.set("alpha", s.wheel("alpha", "1"))
		s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/simple/") {
				s.page(typed{w, media}, r, s.body(r), 0)
				return true
			}
			return false
		})
		s.mustCycle(t)
	}
}

// typed sends another Content-Type, or none.
type typed struct {
	http.ResponseWriter
	media string
}

func (w typed) WriteHeader(code int) {
	w.Header()["Content-Type"] = []string{w.media}
	if w.media == "" {
		w.Header()["Content-Type"] = nil
	}
	w.ResponseWriter.WriteHeader(code)
}

func (x *index) body(r *http.Request) any {
	if name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple"), "/"); name != "" {
		return x.projects[name].body(name)
	}
	return x.root()
}

// TestAcceptsWhatPipAccepts: a server that answers 406 to JSON alone serves HTML.
func TestAcceptsWhatPipAccepts(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.onlyHTML("/simple/", func(p string) string { return "../../" + p })
	html := s.alter
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/simple/") && !strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.WriteHeader(http.StatusNotAcceptable)
			return true
		}
		return html(w, r)
	})
	if r := s.cycle(); r.Err != nil || len(s.links("alpha")) != 1 {
		t.Errorf("%+v", r)
	}
}
