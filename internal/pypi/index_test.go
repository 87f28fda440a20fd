package pypi_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/verify"
)

// index is a package index on loopback, which tests change between cycles.
type index struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	serial   int64
	projects map[string]*project
	content  map[string][]byte // of files by path
	held     map[string][]byte // kept by tests
	hits     map[string]int
	alter    func(w http.ResponseWriter, r *http.Request) bool // true if it has answered
}

// project is a project's page; what page changes is sent instead.
type project struct {
	Serial   int64
	Status   string
	Files    []file
	Unlisted bool // not on the root page
	Quiet    bool // no serial in the header and in the page
}

// file is an entry of a page.
type file struct {
	Filename string            `json:"filename"`
	URL      string            `json:"url"`
	Hashes   map[string]string `json:"hashes"`
	Size     int64             `json:"size"`
	Yanked   bool              `json:"yanked"`
	Core     bool              `json:"core-metadata"`
	Python   string            `json:"requires-python,omitempty"`
}

func newIndex(t *testing.T) *index {
	x := &index{t: t, serial: 100, projects: map[string]*project{}, content: map[string][]byte{}, hits: map[string]int{}}
	x.Server = httptest.NewServer(x)
	t.Cleanup(x.Close)
	return x
}

// file keeps content and returns its entry.
func (x *index) file(name string, data []byte) file {
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	path := "packages/" + digest[:2] + "/" + digest[2:4] + "/" + digest[4:] + "/" + name
	x.mu.Lock()
	defer x.mu.Unlock()
	x.content[path] = data
	return file{Filename: name, URL: "../../" + path, Hashes: map[string]string{"sha256": digest}, Size: int64(len(data)), Core: true}
}

// wheelAt is wheel for who holds the lock.
func (x *index) wheelAt(project, version string) file {
	x.mu.Unlock()
	defer x.mu.Lock()
	return x.wheel(project, version)
}

// wheel makes a wheel of a project with METADATA.
func (x *index) wheel(project, version string) file {
	info := project + "-" + version + ".dist-info/METADATA"
	return x.file(project+"-"+version+"-py3-none-any.whl", zipped(info, "Metadata-Version: 2.1\nName: "+project+"\nVersion: "+version+"\n"))
}

// rename gives the content of f another name, and returns its path.
func (x *index) rename(f file, name string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := strings.TrimPrefix(f.URL, "../../")
	path := old[:strings.LastIndexByte(old, '/')+1] + name
	x.content[path] = x.content[old]
	return path
}

// lose makes upstream lack a file that it lists.
func (x *index) lose(f file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.content, strings.TrimPrefix(f.URL, "../../"))
}

func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

func zipped(members ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err == nil {
			_, err = w.Write([]byte(members[i+1]))
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// set publishes a project's page with a new serial.
func (x *index) set(name string, files ...file) {
	x.change(name, func(p *project) { p.Files = files })
}

func (x *index) change(name string, f func(*project)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.serial++
	p := x.projects[name]
	if p == nil {
		p = &project{}
		x.projects[name] = p
	}
	p.Serial = x.serial
	f(p)
}

func (x *index) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.serial++
	delete(x.projects, name)
}

func (x *index) setAlter(f func(w http.ResponseWriter, r *http.Request) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.alter = f
}

func (x *index) requests(path string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if path != "" {
		return x.hits[path]
	}
	n := 0
	for _, c := range x.hits {
		n += c
	}
	x.hits = map[string]int{}
	return n
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	x.hits[path]++
	if x.alter != nil && x.alter(w, r) {
		return
	}
	if data, ok := x.content[path]; ok {
		_, _ = w.Write(data)
		return
	}
	name := strings.Trim(strings.TrimPrefix(path, "simple/"), "/")
	p := x.projects[name]
	switch {
	case path == "simple/":
		x.page(w, r, x.root(), x.serial)
	case p == nil:
		http.NotFound(w, r)
	case p.Quiet:
		x.page(w, r, p.body(name), 0)
	default:
		x.page(w, r, p.body(name), p.Serial)
	}
}

func (x *index) root() map[string]any {
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(x.projects)) {
		if p := x.projects[name]; !p.Unlisted {
			list = append(list, map[string]any{"name": name, "_last-serial": p.Serial})
		}
	}
	return map[string]any{"meta": map[string]any{"api-version": "1.4", "_last-serial": x.serial}, "projects": list}
}

func (p *project) body(name string) map[string]any {
	meta := map[string]any{"api-version": "1.4"}
	if !p.Quiet {
		meta["_last-serial"] = p.Serial
	}
	body := map[string]any{"meta": meta, "name": name, "files": append([]file{}, p.Files...), "versions": []string{}}
	if p.Status != "" {
		body["project-status"] = map[string]any{"status": p.Status}
	}
	return body
}

func (x *index) page(w http.ResponseWriter, r *http.Request, body any, serial int64) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", fmt.Sprintf("%q", hex.EncodeToString(sum[:8])))
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	if serial > 0 {
		w.Header().Set("X-PyPI-Last-Serial", fmt.Sprint(serial))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// stage is an index and a mirror of it.
type stage struct {
	*index
	b      *enginetest.Bench
	engine *pypi.Engine
	now    time.Time
}

func newStage(t *testing.T, change func(*pypi.Config)) *stage {
	s := &stage{index: newIndex(t), b: enginetest.New(t, "pypi"), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.b.Verify = verify.Options{Kind: verify.PyPI}
	s.b.Sources = []string{s.URL}
	s.configure(change)
	return s
}

func (s *stage) configure(change func(*pypi.Config)) {
	cfg := pypi.Config{Upstreams: []string{s.URL}, Projects: []string{"*"}, Workers: 4, Now: func() time.Time { return s.now }}
	if change != nil {
		change(&cfg)
	}
	s.engine = pypi.New(cfg, s.b.Client)
}

func (s *stage) cycle() enginetest.Result { return s.b.Cycle(s.engine) }

func (s *stage) mustCycle(t *testing.T) enginetest.Result {
	t.Helper()
	r := s.cycle()
	if r.Err != nil || r.Number == 0 || len(r.Notes) != 0 {
		t.Fatalf("good cycle: %+v", r)
	}
	return r
}

// links lists the files on a project's page, as a client of the mirror sees them; nil if there is none.
func (s *stage) links(name string) []string {
	if !slices.Contains(s.b.Files(), "simple/"+name+"/index.v1_json") {
		return nil
	}
	var page struct {
		Files []struct{ Filename string }
	}
	if err := json.Unmarshal([]byte(s.b.Read("simple/"+name+"/index.v1_json")), &page); err != nil {
		s.t.Fatal(err)
	}
	out := []string{}
	for _, f := range page.Files {
		out = append(out, f.Filename)
	}
	return out
}

// listed lists the projects of the mirror's root page.
func (s *stage) listed() []string {
	var page struct {
		Projects []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(s.b.Read("simple/index.v1_json")), &page); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, p := range page.Projects {
		out = append(out, p.Name)
	}
	return out
}

// objects counts the files below packages/ that are called name.
func (s *stage) objects(name string) (n int) {
	for _, f := range s.b.Files() {
		if strings.HasPrefix(f, "packages/") && strings.HasSuffix(f, "/"+name) {
			n++
		}
	}
	return n
}

func (s *stage) snapshot() map[string]string {
	out := map[string]string{}
	for _, f := range append(s.b.Files(), ".mirror/generation.json") {
		sum := sha256.Sum256([]byte(s.b.Read(f)))
		out[f] = hex.EncodeToString(sum[:8])
	}
	return out
}

// noted checks that a cycle has exactly one note and that it is a useful one.
func noted(t *testing.T, r enginetest.Result, unit string, kind fault.Kind, text string) {
	t.Helper()
	if len(r.Notes) != 1 {
		t.Fatalf("want one note, got %+v (error %v)", r.Notes, r.Err)
	}
	if n := r.Notes[0]; n.Unit != unit || n.Kind != string(kind) {
		t.Errorf("note of unit %q and kind %q, want %q and %q: %s", n.Unit, n.Kind, unit, kind, n.Error)
	}
	useful(t, r.Notes[0].Error, text)
}

func useful(t *testing.T, message, text string) {
	t.Helper()
	if !strings.Contains(message, text) {
		t.Errorf("want %q in: %s", text, message)
	}
	if !strings.Contains(message, "; ") || strings.Contains(message, "\n") {
		t.Errorf("want one line that ends with advice: %q", message)
	}
}
