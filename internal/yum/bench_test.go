package yum_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/yum"
)

// site is an upstream on loopback, a mirror of it, and the key that signs.
type site struct {
	*httptest.Server
	t      testing.TB
	b      *enginetest.Bench
	cfg    yum.Config
	key    *openpgp.Entity
	mu     sync.Mutex
	files  map[string][]byte
	hits   map[string]int
	alter  func(w http.ResponseWriter, r *http.Request) bool // true if it has answered
	number int64
}

var signer = sync.OnceValue(func() *openpgp.Entity { return debrepotest.NewKey("good") })

func newSite(t testing.TB, change func(*yum.Config)) *site {
	t.Helper()
	s := &site{t: t, b: enginetest.New(t, "rocky"), key: signer(), files: map[string][]byte{}, hits: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	if err := s.b.Client.Own(s.URL); err != nil { // as a spec names it
		t.Fatal(err)
	}
	keyring := filepath.Join(s.b.Dir, "keys.asc")
	if err := os.WriteFile(keyring, debrepotest.ArmoredKeys(s.key), 0o644); err != nil {
		t.Fatal(err)
	}
	s.cfg = yum.Config{Upstreams: []string{s.URL}, Repos: []string{"os"}, Keyring: keyring}
	if change != nil {
		change(&s.cfg)
	}
	s.b.Sources = s.cfg.Upstreams
	s.b.Verify = verify.Options{Kind: verify.Yum, Keyring: keyring, Proof: s.cfg.Proof}
	if s.cfg.Proof == yum.ByNothing {
		s.b.Verify.Keyring = ""
	}
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	s.hits[name]++
	data, ok := s.files[name]
	alter := s.alter
	s.mu.Unlock()
	if alter != nil && alter(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+digest(data)[:16]+`"`)
	http.ServeContent(w, r, name, time.Time{}, strings.NewReader(string(data)))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// requests returns how often each path was asked for since the last call.
func (s *site) requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.hits
	s.hits = map[string]int{}
	return out
}

// publish replaces what is below dir. Packages of the edition before stay, as upstreams keep them.
func (s *site) publish(dir string, r rpmrepotest.Repo) {
	if r.Key == nil {
		r.Key = s.key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.files, func(name string, _ []byte) bool {
		return strings.HasPrefix(name, dir+"/") && !strings.HasSuffix(name, ".rpm")
	})
	for name, data := range r.Files() {
		s.files[path.Join(dir, name)] = data
	}
}

// edit changes what is served.
func (s *site) edit(change func(map[string][]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.files)
}

func (s *site) cycle() enginetest.Result {
	r := s.b.Cycle(yum.New(s.cfg, s.b.Client))
	s.number = max(s.number, r.Number)
	return r
}

// must runs a cycle that makes a generation without a note.
func (s *site) must() enginetest.Result {
	s.t.Helper()
	was := s.number
	r := s.cycle()
	if r.Err != nil || r.Number <= was || len(r.Notes) != 0 {
		s.t.Fatalf("want a new generation without notes: %+v", r)
	}
	return r
}

// still runs a cycle that makes no generation and has nothing to say.
func (s *site) still() {
	s.t.Helper()
	if r := s.cycle(); r.Err != nil || r.Number != 0 || len(r.Notes) != 0 {
		s.t.Fatalf("want nothing new: %+v", r)
	}
}

// holds checks that the tree has the upstream's files below dir, byte for byte, except those that are retained.
func (s *site) holds(dir string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[string]string{}
	for name, data := range s.files {
		if strings.HasPrefix(name, dir) {
			want[name] = digest(data)
		}
	}
	got := map[string]string{}
	for _, name := range s.b.Files() {
		if _, ok := want[name]; ok {
			got[name] = digest([]byte(s.b.Read(name)))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("the tree is not upstream's: %s", d)
	}
}

// snapshot digests every file of the tree, and its generation.json.
func (s *site) snapshot() map[string]string {
	out := map[string]string{}
	for _, f := range append(s.b.Files(), ".mirror/generation.json") {
		out[f] = digest([]byte(s.b.Read(f)))
	}
	return out
}

// unchanged checks that all is there as before; objects that nothing names yet may have come.
func (s *site) unchanged(before map[string]string) {
	s.t.Helper()
	after := s.snapshot()
	for name := range after {
		if before[name] == "" && (strings.HasSuffix(name, ".rpm") || strings.Contains(name, "/repodata/")) && !strings.Contains(name, "repomd.xml") {
			delete(after, name)
		}
	}
	if d := cmp.Diff(before, after); d != "" {
		s.t.Errorf("the tree has changed: %s", d)
	}
}

// refused checks that a cycle made no generation and says once, clearly, why.
func (s *site) refused(r enginetest.Result, kind fault.Kind, text string) {
	s.t.Helper()
	if r.Number != 0 {
		s.t.Fatalf("generation %d was published", r.Number)
	}
	s.noted(r, kind, text)
}

func (s *site) noted(r enginetest.Result, kind fault.Kind, text string) {
	s.t.Helper()
	if len(r.Notes) != 1 {
		s.t.Fatalf("want one note, got %+v (error %v)", r.Notes, r.Err)
	}
	n := r.Notes[0]
	if n.Kind != string(kind) || !strings.Contains(n.Error, text) {
		s.t.Errorf("want a note of kind %q with %q: %+v", kind, text, n)
	}
	if strings.Contains(n.Error, "\n") || !strings.Contains(n.Error, "; ") {
		s.t.Errorf("want one line that ends with advice: %q", n.Error)
	}
}

func p(name, version string) rpmrepotest.Package {
	return rpmrepotest.Package{Name: name, Version: version, Content: name + version}
}

// good is what the repositories of most tests hold at first, next what they hold later.
var (
	good = []rpmrepotest.Package{p("alpha", "1.0"), p("beta", "2.0~rc1"), p("gamma++", "1.0^git1")}
	next = []rpmrepotest.Package{p("alpha", "1.1"), p("beta", "2.0~rc1"), p("gamma++", "1.0^git1")}
)

func signedRepo(packages []rpmrepotest.Package, revision int64) rpmrepotest.Repo {
	return rpmrepotest.Repo{Packages: packages, Signed: true, Revision: revision}
}
