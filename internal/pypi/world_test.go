package pypi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
)

// rewritten changes what upstream sends as JSON.
func (s *stage) rewritten(change func(path string, page map[string]any)) {
	s.setAlter(func(w http.ResponseWriter, r *http.Request) bool {
		path := strings.Trim(r.URL.Path, "/")
		name := strings.TrimPrefix(path, "simple/")
		var body map[string]any
		switch {
		case path == "simple":
			body = s.root()
		case s.projects[name] != nil:
			body = s.projects[name].body(name)
		default:
			return false
		}
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		clear(body)
		if err := json.Unmarshal(data, &body); err != nil {
			panic(err)
		}
		change(path, body)
		s.page(w, r, body, 0)
		return true
	})
}

// TestWhatLandedIsWhatThePageSays: size comes from the file, versions and times are
// made complete, and stay what they were.
func TestWhatLandedIsWhatThePageSays(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "1!2.0"), s.file("alpha-0.9.tar.gz", []byte("alpha")))
	s.set("beta", s.wheel("beta", "1"))
	sizes := []any{0, 7, "many"}
	s.rewritten(func(path string, page map[string]any) {
		if path != "simple/alpha" {
			return
		}
		delete(page, "versions")
		for i, f := range page["files"].([]any) {
			f.(map[string]any)["size"] = sizes[i%len(sizes)]
			f.(map[string]any)["upload-time"] = "some day"
		}
	})
	s.mustCycle(t)
	type page struct {
		Versions []string
		Files    []struct {
			Size int64
			Time string `json:"upload-time"`
		}
	}
	read := func() (p page) {
		if err := json.Unmarshal([]byte(s.b.Read("simple/alpha/index.v1_json")), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := read()
	if d := cmp.Diff([]string{"1", "1!2.0", "0.9"}, first.Versions); d != "" {
		t.Error(d)
	}
	for i, f := range first.Files {
		if want := int64(len(s.content[strings.TrimPrefix(s.projects["alpha"].Files[i].URL, "../../")])); f.Size != want || f.Time != "2026-01-01T00:00:00Z" {
			t.Errorf("%d: %+v, want %d bytes", i, f, want)
		}
	}
	s.now = s.now.Add(time.Hour)
	s.change("alpha", func(p *project) { p.Files = append(p.Files, s.wheelAt("alpha", "3")) })
	s.mustCycle(t)
	second := read()
	if second.Files[0].Time != first.Files[0].Time || second.Files[3].Time != "2026-01-01T01:00:00Z" {
		t.Errorf("times: %+v", second)
	}
}

// TestSerialsOfUpstreams: whatever a root page says of serials, a change is found
// in the next cycle, and a cycle without one makes no generation.
func TestSerialsOfUpstreams(t *testing.T) {
	each := func(change func(map[string]any, int)) func(string, map[string]any) {
		return func(path string, page map[string]any) {
			change(page["meta"].(map[string]any), 0)
			if path != "simple" {
				return
			}
			for i, p := range page["projects"].([]any) {
				change(p.(map[string]any), i+1)
			}
		}
	}
	tests := map[string]func(string, map[string]any){
		"numbers": func(string, map[string]any) {},
		"text": each(func(m map[string]any, _ int) {
			if n, ok := m["_last-serial"]; ok {
				m["_last-serial"] = fmt.Sprint(n)
			}
		}),
		"none":           each(func(m map[string]any, _ int) { delete(m, "_last-serial") }),
		"zero":           each(func(m map[string]any, _ int) { m["_last-serial"] = 0 }),
		"a constant":     each(func(m map[string]any, _ int) { m["_last-serial"] = 1000000000 }),
		"null":           each(func(m map[string]any, _ int) { m["_last-serial"] = nil }),
		"pages only":     func(path string, page map[string]any) { rootOnly(path, page) },
		"one of several": each(func(m map[string]any, i int) { deleteAbove(m, i) }),
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			for _, name := range []string{"alpha", "beta", "gamma"} {
				s.set(name, s.wheel(name, "1"))
			}
			s.rewritten(change)
			s.mustCycle(t)
			if r := s.cycle(); r.Number != 0 || len(r.Notes) != 0 {
				t.Fatalf("nothing new: %+v", r)
			}
			// Without serials the root page stands still now, and answers 304.
			s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
			s.mustCycle(t)
			if len(s.links("alpha")) != 2 || len(s.listed()) != 3 {
				t.Errorf("%v, %v", s.links("alpha"), s.listed())
			}
		})
	}
}

func rootOnly(path string, page map[string]any) {
	if path != "simple" {
		return
	}
	delete(page["meta"].(map[string]any), "_last-serial")
	for _, p := range page["projects"].([]any) {
		delete(p.(map[string]any), "_last-serial")
	}
}

func deleteAbove(m map[string]any, i int) {
	if i > 1 {
		delete(m, "_last-serial")
	}
}

// TestPublishedSerial is upstream's, and never falls: a mirror of this mirror
// compares it.
func TestPublishedSerial(t *testing.T) {
	s := newStage(t, nil)
	s.set("alpha", s.wheel("alpha", "1"))
	s.set("beta", s.wheel("beta", "1"))
	s.serial = 500 // of a project that is not mirrored
	s.mustCycle(t)
	if got := s.rootSerial(); got != 500 {
		t.Errorf("serial %d, want upstream's", got)
	}
	s.projects["alpha"].Serial = 600 // newer than the root page, as pages are
	s.projects["alpha"].Files = append(s.projects["alpha"].Files, s.wheel("alpha", "2"))
	s.mustCycle(t)
	if got := s.rootSerial(); got != 600 {
		t.Errorf("serial %d, want that of the newest page", got)
	}
	s.remove("alpha")
	s.serial = 601
	s.mustCycle(t)
	if got := s.rootSerial(); got != 601 || len(s.listed()) != 1 {
		t.Errorf("serial %d after the greatest project left", got)
	}
}

// TestManyNamedProjects are asked directly, however many, and one that is not there is told once.
func TestManyNamedProjects(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("p%02d", i))
	}
	for _, globs := range [][]string{nil, {"x-*"}} {
		s := newStage(t, func(c *pypi.Config) { c.Projects = slices.Concat(names, globs) })
		for _, name := range names[1:] {
			s.set(name, s.wheel(name, "1"))
		}
		r := s.cycle()
		if r.Err != nil || r.Number != 1 || len(s.listed()) != 39 || len(r.Notes) != 1 || r.Notes[0].Unit != "p00" || !r.Notes[0].Standing {
			t.Fatalf("%v: %+v", globs, r)
		}
		if n := s.requests("simple/"); globs == nil && n != 0 {
			t.Errorf("the root page was read %d times", n)
		}
		if r := s.cycle(); r.Digest != "" || len(r.Notes) != 1 || r.Notes[0].Error == "" {
			t.Errorf("%v: it is still not there: %+v", globs, r)
		}
		s.set("p00", s.wheel("p00", "1"))
		s.now = s.now.Add(time.Hour)
		s.mustCycle(t)
		if len(s.listed()) != 40 {
			t.Errorf("%v: it is there now", globs)
		}
	}
}

// TestListedAndNotThere: a project that stays listed and is 404 for ever is told,
// costs a request, and no reading of the root page.
func TestListedAndNotThere(t *testing.T) {
	s := twoProjects(t, nil)
	s.set("gamma", s.wheel("gamma", "1"))
	s.set("beta", s.wheel("beta", "1"), s.wheel("beta", "2"))
	answer("simple/gamma/", 404, "", "")(s)
	if r := s.cycle(); r.Number != 2 || len(r.Notes) != 1 || r.Notes[0].Unit != "gamma" || !r.Notes[0].Standing {
		t.Fatalf("%+v", r)
	}
	for range 2 {
		s.requests("")
		if r := s.cycle(); r.Digest != "" || len(r.Notes) != 1 || s.requests("simple/gamma/") != 1 {
			t.Fatalf("%+v", r)
		}
	}
	if l, err := pypi.Lacking(s.b.Tree(), 5); err != nil || l.Missing[fault.Gone] != 1 || len(l.Some) != 1 || l.Some[0].Unit != "gamma" {
		t.Errorf("%+v, %v", l, err)
	}
	s.setAlter(nil)
	s.mustCycle(t)
	if l, err := pypi.Lacking(s.b.Tree(), 5); err != nil || len(l.Missing) != 0 || len(l.Some) != 0 {
		t.Errorf("it is there: %+v, %v", l, err)
	}
	if len(s.listed()) != 3 {
		t.Error("it came, and is not mirrored")
	}
}

// entry is a file's entry on a project's page as the mirror has it.
func (s *stage) entry(project, filename string) string {
	var page struct{ Files []json.RawMessage }
	if err := json.Unmarshal([]byte(s.b.Read("simple/"+project+"/index.v1_json")), &page); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range page.Files {
		if strings.Contains(string(f), `"filename":"`+filename+`"`) {
			return string(f)
		}
	}
	return ""
}

// rootSerial is the serial of the mirror's root page.
func (s *stage) rootSerial() int64 {
	var page struct {
		Meta struct {
			Serial int64 `json:"_last-serial"`
		}
	}
	if err := json.Unmarshal([]byte(s.b.Read("simple/index.v1_json")), &page); err != nil {
		s.t.Fatal(err)
	}
	return page.Meta.Serial
}
