package apt_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/verify"
)

// upstream is an archive served on loopback, which tests change between cycles.
type upstream struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	hits  map[string]int
	alter func(w http.ResponseWriter, r *http.Request) bool // true if it has answered
}

func serve(t testing.TB) *upstream {
	u := &upstream{files: map[string][]byte{}, hits: map[string]int{}}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	u.hits[path]++
	data, ok := u.files[path]
	alter := u.alter
	u.mu.Unlock()
	if alter != nil && alter(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := debrepotest.Digests(data).SHA256
	w.Header().Set("ETag", `"`+sum[:16]+`"`)
	http.ServeContent(w, r, path, time.Time{}, strings.NewReader(string(data)))
}

func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, c := range u.hits {
		n += c
	}
	u.hits = map[string]int{}
	return n
}

// archive is what tests publish: suites by name with the packages in them.
type archive struct {
	t     testing.TB
	u     *upstream
	keys  []*openpgp.Entity
	date  time.Time
	valid time.Time
	tweak func(*debrepotest.Repo)
	files func(map[string][]byte)
}

func newArchive(t testing.TB) *archive {
	return &archive{t: t, u: serve(t), keys: []*openpgp.Entity{debrepotest.NewKey("archive")}, date: time.Now().Add(-time.Hour).Truncate(time.Second)}
}

func deb(name, version string) debrepotest.Package {
	return debrepotest.Package{Deb: debrepotest.Deb{Name: name, Version: version, Arch: "amd64"}}
}

func (a *archive) publish(suites map[string][]debrepotest.Package) {
	a.t.Helper()
	repo := &debrepotest.Repo{Keys: a.keys}
	a.date = a.date.Add(time.Minute)
	for name, packages := range suites {
		repo.Suites = append(repo.Suites, debrepotest.Suite{Name: name, Packages: packages,
			Release: debrepo.Release{Date: a.date, ValidUntil: a.valid, AcquireByHash: true, Components: []string{"main"}, Architectures: []string{"amd64"}}})
	}
	slices.SortFunc(repo.Suites, func(x, y debrepotest.Suite) int { return strings.Compare(x.Name, y.Name) })
	if a.tweak != nil {
		a.tweak(repo)
	}
	files, err := repo.Files()
	if err != nil {
		a.t.Fatal(err)
	}
	if a.files != nil {
		a.files(files)
	}
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	a.u.files = files
}

func (a *archive) engine(b *enginetest.Bench, change func(*apt.Config)) *apt.Engine {
	a.t.Helper()
	keyring := filepath.Join(b.Dir, "keyring.gpg")
	if _, err := os.Stat(keyring); err != nil {
		if err := os.WriteFile(keyring, debrepotest.PublicKeys(a.keys...), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
	cfg := apt.Config{Upstreams: []string{a.u.URL}, Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"},
		Keyring: keyring, ByHash: true}
	if change != nil {
		change(&cfg)
	}
	b.Verify = verify.Options{Kind: verify.Apt, Keyring: keyring}
	b.Sources = cfg.Upstreams
	return apt.New(cfg, b.Client)
}

func pool(files []string) []string {
	var out []string
	for _, f := range files {
		if strings.HasPrefix(f, "pool/") {
			out = append(out, filepath.Base(f))
		}
	}
	return out
}

func TestCycles(t *testing.T) {
	a, b := newArchive(t), enginetest.New(t, "debian")
	e := a.engine(b, nil)
	a.publish(map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("b", "1")}})
	r := b.Cycle(e)
	if r.Err != nil || r.Number != 1 || len(r.Notes) != 0 {
		t.Fatalf("first cycle: %+v", r)
	}
	if got := b.Read("dists/stable/InRelease"); got != string(a.u.files["dists/stable/InRelease"]) {
		t.Error("InRelease is not upstream's, byte for byte")
	}
	if diff := cmp.Diff([]string{"a_1_amd64.deb", "b_1_amd64.deb"}, pool(b.Files())); diff != "" {
		t.Error(diff)
	}
	a.u.requests()
	if r := b.Cycle(e); r.Digest != "" || r.Err != nil {
		t.Fatalf("nothing new, yet: %+v", r)
	}
	if n := a.u.requests(); n != 1 {
		t.Errorf("a cycle with nothing new made %d requests, want 1", n)
	}
	a.publish(map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("c", "1")}})
	if r = b.Cycle(e); r.Err != nil || r.Number != 2 || r.Info.Adds != 1 || r.Info.Drops != 1 || r.Info.BaseObjects != 2 {
		t.Fatalf("one package of two came and went: %+v", r)
	}
	if diff := cmp.Diff([]string{"a_1_amd64.deb", "b_1_amd64.deb", "c_1_amd64.deb"}, pool(b.Files())); diff != "" {
		t.Errorf("the dropped package must still be there: %s", diff)
	}
}
