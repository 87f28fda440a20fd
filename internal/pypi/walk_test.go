package pypi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
)

// odd are the ways in which one answer is wrong.
var odd = map[string]func(w http.ResponseWriter, r *http.Request, good, older *httptest.ResponseRecorder){
	"404":   func(w http.ResponseWriter, r *http.Request, _, _ *httptest.ResponseRecorder) { http.NotFound(w, r) },
	"500":   func(w http.ResponseWriter, _ *http.Request, _, _ *httptest.ResponseRecorder) { w.WriteHeader(500) },
	"empty": func(w http.ResponseWriter, _ *http.Request, good, _ *httptest.ResponseRecorder) { send(w, good, nil) },
	"truncated": func(w http.ResponseWriter, _ *http.Request, good, _ *httptest.ResponseRecorder) {
		send(w, good, good.Body.Bytes()[:good.Body.Len()/2])
	},
	"older": func(w http.ResponseWriter, _ *http.Request, good, older *httptest.ResponseRecorder) {
		if older.Code != http.StatusOK {
			older = good // it did not exist then: nothing is older
		}
		send(w, older, older.Body.Bytes())
	},
	"HTML": func(w http.ResponseWriter, _ *http.Request, good, _ *httptest.ResponseRecorder) {
		good.Header().Set("Content-Type", "text/html")
		send(w, good, []byte(portal))
	},
}

func send(w http.ResponseWriter, like *httptest.ResponseRecorder, body []byte) {
	for k, v := range like.Header() {
		if k != "Content-Length" {
			w.Header()[k] = v
		}
	}
	w.Header().Del("ETag")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body)
}

// forms are sorts of indexes.
var forms = map[string]func(s *stage){
	"with serials": func(*stage) {},
	"without serials": func(s *stage) {
		for _, p := range s.projects {
			p.Serial, p.Quiet = 0, true
		}
		s.serial = 0
	},
}

// changing is a mirror of an index that then changes in every way: a new version,
// a deleted file, a new project, a deleted project, one in quarantine.
func changing(t *testing.T, form func(*stage)) *stage {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.set("beta", s.wheel("beta", "1"))
	s.set("gone", s.wheel("gone", "1"))
	s.set("bad", s.wheel("bad", "1"))
	s.set("still", s.wheel("still", "1"))
	form(s)
	s.mustCycle(t)
	return s
}

func (s *stage) moveOn(form func(*stage)) {
	s.set("alpha", s.wheel("alpha", "2"), s.wheel("alpha", "3"))
	s.set("new", s.wheel("new", "1"))
	s.remove("gone")
	s.change("bad", func(p *project) { p.Status, p.Files = "quarantined", nil })
	form(s)
	s.now = s.now.Add(time.Hour)
}

// TestEachRequestGoesWrongOnce answers each request of a cycle once in every wrong
// way. Clients of a region see every project as it was or as it is, or as it was with
// a part of what is new, with all files that its page names, and one calm cycle later (two where nothing but a second answer can confirm
// a removal) everything is there.
func TestEachRequestGoesWrongOnce(t *testing.T) {
	names := []string{"alpha", "beta", "gone", "bad", "still", "new"}
	for formName, form := range forms {
		calm := changing(t, form)
		reader := newRegion(t, calm)
		was := reader.sees(names...)
		older := calm.answers()
		calm.moveOn(form)
		paths := calm.recorded(func() { calm.cycle() })
		calm.now = calm.now.Add(time.Hour)
		calm.cycle()
		reader.release()
		is := reader.sees(names...)
		if len(paths) < 6 || was["alpha"] == is["alpha"] || is["gone"] != "" || is["bad"] != "" || is["new"] == "" {
			t.Fatalf("%s: %v, %v", formName, paths, is)
		}
		for _, path := range paths {
			for kind, wrong := range odd {
				if formName == "without serials" && !slices.Contains([]string{"404", "empty", "older"}, kind) {
					continue // the same as with serials
				}
				t.Run(formName+"/"+kind+"/"+path, func(t *testing.T) {
					t.Parallel()
					s := changing(t, form)
					reader := newRegion(t, s)
					s.moveOn(form)
					once := true
					s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
						if !once || r.URL.Path != path {
							return false
						}
						once = false
						wrong(w, r, s.answer(r.URL.Path), older(r.URL.Path))
						return true
					})
					r := s.cycle()
					if once {
						t.Fatalf("%s was not asked for: %+v", path, r)
					}
					reader.release()
					for name, page := range reader.sees(names...) {
						if page != was[name] && page != is[name] && !between(was[name], page, is[name]) {
							t.Errorf("%s is %q, was %q and shall be %q", name, page, was[name], is[name])
						}
					}
					s.setAlter(nil)
					for range 2 {
						s.now = s.now.Add(time.Hour)
						if r = s.cycle(); r.Err != nil {
							t.Fatalf("a calm cycle: %+v", r)
						}
					}
					reader.release()
					for name, page := range reader.sees(names...) {
						if page != is[name] {
							t.Errorf("%s is %q in the end, want %q", name, page, is[name])
						}
					}
					if len(r.Notes) != 0 {
						t.Errorf("still told: %+v", r.Notes)
					}
				})
			}
		}
	}
}

// between reports whether a page has all files that it had, and some of the new
// ones: a file that could not be had is left off alone.
func between(was, page, is string) bool {
	within := func(some, all string) bool {
		return !slices.ContainsFunc(strings.Fields(some), func(f string) bool { return !slices.Contains(strings.Fields(all), f) })
	}
	return was != "" && within(was, page) && within(page, is)
}

// answer is what the index itself says.
func (x *index) answer(path string) *httptest.ResponseRecorder {
	alter := x.alter
	x.alter = nil
	w := httptest.NewRecorder()
	x.mu.Unlock()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	x.mu.Lock()
	x.alter = alter
	return w
}

// answers remembers what the index says now.
func (x *index) answers() func(path string) *httptest.ResponseRecorder {
	paths := []string{"/simple/"}
	for name := range x.projects {
		paths = append(paths, "/simple/"+name+"/")
	}
	said := map[string]*httptest.ResponseRecorder{}
	for _, path := range paths {
		x.mu.Lock()
		said[path] = x.answer(path)
		x.mu.Unlock()
	}
	return func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		if was, ok := said[path]; ok {
			w.Code, w.Body = was.Code, bytes.NewBuffer(was.Body.Bytes())
			for k, v := range was.Header() {
				w.Header()[k] = v
			}
			return w
		}
		w.Code = http.StatusNotFound
		return w
	}
}

// recorded lists the paths that are asked for while f runs.
func (x *index) recorded(f func()) (paths []string) {
	x.setAlter(func(_ http.ResponseWriter, r *http.Request) bool {
		if !slices.Contains(paths, r.URL.Path) {
			paths = append(paths, r.URL.Path)
		}
		return false
	})
	f()
	x.setAlter(nil)
	return paths
}

// TestOneOf200 has one project, and one file, of 200 be wrong: 199 are served by the
// end of that cycle, the one is told once, and is there when upstream heals.
func TestOneOf200(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(*stage)
		heal   func(*stage)
		kind   fault.Kind
		served int
	}{
		"a page":                {func(s *stage) { answer("simple/p100/", 200, mediaJSON, "{")(s) }, func(s *stage) { s.setAlter(nil) }, fault.Malformed, 199},
		"a project that is 404": {func(s *stage) { answer("simple/p100/", 404, "", "")(s) }, func(s *stage) { s.setAlter(nil) }, fault.Gone, 199},
		"a file": {func(s *stage) { s.held, s.content = s.content, without(s.content, "/p100-1-py3-none-any.whl") },
			func(s *stage) { s.content = s.held }, fault.Gone, 200},
		"an entry without a digest": {func(s *stage) {
			s.change("p100", func(p *project) { p.Files[0].Hashes = map[string]string{"md5": "0"} })
		}, func(s *stage) { s.set("p100", s.wheel("p100", "1")) }, fault.Unproved, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			for i := range 200 {
				project := fmt.Sprintf("p%03d", i)
				s.set(project, s.wheel(project, "1"))
			}
			c.attack(s)
			r := s.cycle()
			noted(t, r, "p100", c.kind, "p100")
			files := 0
			for i := range 200 {
				files += len(s.links(fmt.Sprintf("p%03d", i)))
			}
			if r.Number != 1 || len(s.listed()) != c.served || files != 199 {
				t.Fatalf("%d projects and %d files: %+v", len(s.listed()), files, r)
			}
			c.heal(s)
			s.now = s.now.Add(time.Hour)
			s.mustCycle(t)
			if len(s.listed()) != 200 || len(s.links("p100")) != 1 {
				t.Error("it did not heal")
			}
		})
	}
}

// TestAPageThatDoesNotReadBack holds its project; all others are committed, and
// verify. A project that is new is found again.
func TestAPageThatDoesNotReadBack(t *testing.T) {
	for name, c := range map[string]struct{ old, other string }{
		"link to elsewhere": {"../../packages", "../packages"}, "wrong name": {`"name":"alpha"`, `"name":"omega"`}, "not JSON": {"{", "("},
		"wrong size": {`"size":`, `"size":1`}, "metadata": {`"core-metadata":{"sha256":"`, `"core-metadata":{"sha256":"00`},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", new ", fresh), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, nil)
				s.set("beta", s.wheel("beta", "1"))
				s.set("gamma", s.wheel("gamma", "1"))
				if !fresh {
					s.set("alpha", s.wheel("alpha", "1"))
				}
				s.mustCycle(t)
				was := s.links("alpha")
				s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
				s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
				s.engine.Misspell("alpha", c.old, c.other)
				r := s.cycle()
				noted(t, r, "alpha", fault.Corrupt, "keeps its page")
				if r.Number != 2 || !slices.Equal(s.links("alpha"), was) || len(s.links("beta")) != 2 {
					t.Fatalf("%+v, %v, %v", r, s.links("alpha"), s.links("beta"))
				}
				s.configure(nil)
				s.mustCycle(t)
				if len(s.links("alpha")) != 2 {
					t.Error("it was not tried again")
				}
			})
		}
	}
}

func without(content map[string][]byte, suffix string) map[string][]byte {
	out := map[string][]byte{}
	for path, data := range content {
		if !strings.HasSuffix(path, suffix) {
			out[path] = data
		}
	}
	return out
}
