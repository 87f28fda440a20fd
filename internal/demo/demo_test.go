package demo_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func upstream(t testing.TB, o demo.Options) *demo.Upstream {
	t.Helper()
	if o.Now == nil {
		o.Now = at(start)
	}
	u, err := demo.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func step(t testing.TB, u *demo.Upstream) {
	t.Helper()
	if err := u.Step(); err != nil {
		t.Fatal(err)
	}
}

func get(u *demo.Upstream, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	u.Handler().ServeHTTP(w, r)
	return w.Result()
}

// fetch returns the content of a path that must be there.
func fetch(t testing.TB, u *demo.Upstream, path string, header ...string) []byte {
	t.Helper()
	res := get(u, path, header...)
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %s %v", path, res.Status, err)
	}
	return data
}

// everything is what a mirror takes, by path, without signatures.
func everything(t testing.TB, u *demo.Upstream) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, data := range readArchive(t, u) {
		all[name] = string(data)
	}
	for name, data := range readIndex(t, u) {
		all[name] = string(data)
	}
	return all
}

func TestStart(t *testing.T) {
	debs, projects, files := 0, 0, 0
	for name := range everything(t, upstream(t, demo.Options{})) {
		switch {
		case strings.HasSuffix(name, ".deb"):
			debs++
		case strings.HasPrefix(name, "/pypi/simple/"):
			projects++
		default:
			files++
		}
	}
	if debs != 12 || projects != 8 || files < 16 {
		t.Errorf("%d debs, %d projects, %d other files", debs, projects, files)
	}
}

// TestFiftySteps proves the chains of both repositories after every step: each
// brings something new, most drop something, and nothing grows without end.
func TestFiftySteps(t *testing.T) {
	u := upstream(t, demo.Options{})
	before := everything(t, u)
	yanked, quarantined, dropped := 0, 0, 0
	for n := range 50 {
		step(t, u)
		said := u.Describe()
		if said == "" || strings.Contains(said, "\n") {
			t.Errorf("step %d: %q", n, said)
		}
		now := everything(t, u)
		if cmp.Equal(before, now) {
			t.Errorf("step %d changed nothing: %s", n, said)
		}
		for name := range before {
			if _, ok := now[name]; !ok && !strings.HasPrefix(name, "/pypi/simple/") {
				dropped++
			}
			if old, ok := now[name]; ok && old != before[name] && !strings.HasPrefix(name, "/pypi/simple/") {
				t.Errorf("step %d: %s has new bytes under its old name", n, name)
			}
		}
		if strings.Contains(said, "is yanked") {
			yanked++
		}
		if strings.Contains(said, "is quarantined") {
			quarantined++
		}
		if len(now) > 110 {
			t.Fatalf("step %d: %d files", n, len(now))
		}
		before = now
	}
	if yanked == 0 || quarantined == 0 || dropped < 25 {
		t.Errorf("%d yanked, %d quarantined, %d files dropped", yanked, quarantined, dropped)
	}
}

func TestDeterministic(t *testing.T) {
	a, b, c := upstream(t, demo.Options{Seed: 5}), upstream(t, demo.Options{Seed: 5}), upstream(t, demo.Options{Seed: 6})
	var sa, sb, sc []string
	for range 12 {
		for _, u := range []*demo.Upstream{a, b, c} {
			step(t, u)
		}
		sa, sb, sc = append(sa, a.Describe()), append(sb, b.Describe()), append(sc, c.Describe())
	}
	if d := cmp.Diff(sa, sb); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(everything(t, a), everything(t, b)); d != "" {
		t.Error(d)
	}
	if cmp.Equal(sa, sc) {
		t.Error("another seed makes the same steps")
	}
}

func TestRestartGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	a := upstream(t, demo.Options{Seed: 9, Dir: dir})
	for range 7 {
		step(t, a)
	}
	b := upstream(t, demo.Options{Seed: 10, Dir: dir, Now: at(start.Add(time.Hour))})
	if !bytes.Equal(a.Keyring(), b.Keyring()) {
		t.Fatal("another key")
	}
	if d := cmp.Diff(everything(t, a), everything(t, b)); d != "" {
		t.Error(d)
	}
	if a.Describe() != b.Describe() {
		t.Error(b.Describe())
	}
	step(t, a)
	step(t, b)
	if d := cmp.Diff(everything(t, a), everything(t, b)); d != "" {
		t.Error(d)
	}
	if info, err := os.Stat(filepath.Join(dir, "demo.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v %v", info.Mode(), err)
	}
}

func TestDamagedRecords(t *testing.T) {
	for _, name := range []string{"demo.key", "demo.json"} {
		dir := t.TempDir()
		upstream(t, demo.Options{Dir: dir})
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := demo.New(demo.Options{Dir: dir}); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServed(t *testing.T) {
	u := upstream(t, demo.Options{})
	tests := []struct {
		path, accept  string
		status        int
		media, serial string
	}{
		{"/pypi/simple/", simpleindex.MediaV1JSON, 200, simpleindex.MediaV1JSON, "1008"},
		{"/pypi/simple/", "application/vnd.pypi.simple.v1+json, text/html;q=0.01", 200, simpleindex.MediaV1JSON, "1008"},
		{"/pypi/simple/", "text/html", 200, "text/html", "1008"},
		{"/pypi/simple/demo-abacus/", simpleindex.MediaV1JSON, 200, simpleindex.MediaV1JSON, "1001"},
		{"/pypi/simple/demo-abacus/", "", 200, "text/html", "1001"},
		{"/pypi/simple/demo-abacus", "", 301, "", ""},
		{"/pypi/simple/Demo.Abacus/", "", 301, "", ""},
		{"/pypi/simple", "", 301, "", ""},
		{"/pypi/simple/none/", "", 404, "", ""},
		{"/pypi/packages/none", "", 404, "", ""},
		{"/debian/dists/demo/InRelease", "", 200, "application/octet-stream", ""},
		{"/debian/dists/demo/none", "", 404, "", ""},
		{"/", "", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.accept, func(t *testing.T) {
			res := get(u, tt.path, "Accept", tt.accept)
			if res.StatusCode != tt.status {
				t.Fatal(res.Status)
			}
			if tt.status != 200 {
				return
			}
			if got := []string{res.Header.Get("Content-Type"), res.Header.Get("X-PyPI-Last-Serial")}; !slices.Equal(got, []string{tt.media, tt.serial}) {
				t.Error(got)
			}
			again := get(u, tt.path, "Accept", tt.accept, "If-None-Match", res.Header.Get("ETag"))
			if again.StatusCode != 304 {
				t.Errorf("the same ETag: %s", again.Status)
			}
		})
	}
	if n := u.Requests()["/debian/dists/demo/InRelease"]; n != 2 {
		t.Errorf("%d requests counted", n)
	}
	w := httptest.NewRecorder()
	u.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/pypi/simple/", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if to := get(u, "/pypi/simple/Demo.Abacus").Header.Get("Location"); to != "/pypi/simple/demo-abacus/" {
		t.Error(to)
	}
}

// TestFlipIsAtomic reads both indexes while steps are made.
func TestFlipIsAtomic(t *testing.T) {
	u := upstream(t, demo.Options{})
	done := make(chan error)
	go func() {
		var err error
		for range 10 {
			err = errors.Join(err, u.Step())
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			readSuite(t, u, "demo-updates", map[string][]byte{}, true)
		}
	}
}
