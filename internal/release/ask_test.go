package release_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/mirrorspec"
)

// publish makes a region that serves the newest of the trees.
func publish(t *testing.T, region string, p backendtest.Place) mirrorspec.Region {
	t.Helper()
	r := mirrorspec.Region{Name: region, Dir: filepath.Join(backendtest.Scratch(t), region)}
	if err := dir.Setup(r.Dir, region); err != nil {
		t.Fatal(err)
	}
	b, err := release.For(release.Options{Region: r, Mirror: backendtest.Mirror, Tree: p.Tree, Holder: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), local(t, p)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestForRefusesWhatItCannotServe(t *testing.T) {
	for name, r := range map[string]mirrorspec.Region{"afs": {Name: "a", AFS: &mirrorspec.Site{}}, "nothing": {Name: "a"}} {
		if _, err := release.For(release.Options{Region: r}); !errors.Is(err, fault.Config) {
			t.Errorf("%s: got %v, want config", name, err)
		}
	}
	if _, _, err := release.From(release.Origin{Region: mirrorspec.Region{Pull: true}}); !errors.Is(err, fault.Config) {
		t.Errorf("pull without an URL: got %v, want config", err)
	}
}

func TestNewest(t *testing.T) {
	trees := backendtest.Prepare(t, backendtest.Content{"pool/a": "a"}, backendtest.Content{"pool/a": "a", "pool/b": "b"})
	other := backendtest.Prepare(t, backendtest.Content{"pool/a": "a"})
	one, two, foreign := publish(t, "one", trees[0]), publish(t, "two", trees[1]), publish(t, "foreign", other[0])
	aside := publish(t, "aside", backendtest.Prepare(t, backendtest.Content{"pool/a": "a"}, backendtest.Content{"pool/b": "b"})[1])
	if _, err := dir.MoveAside(aside.Dir, backendtest.Mirror, time.Now()); err != nil {
		t.Fatal(err)
	}
	missing := mirrorspec.Region{Name: "missing", Dir: filepath.Join(t.TempDir(), "none")}
	unreadable := mirrorspec.Region{Name: "unreadable", Dir: filepath.Join(t.TempDir(), "file")}
	if err := os.WriteFile(unreadable.Dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	elsewhere := foreign
	elsewhere.Pull = true
	cases := []struct {
		name    string
		regions []mirrorspec.Region
		want    int64
		above   int64
		kind    error
	}{
		{"none", nil, 0, 0, nil},
		{"one", []mirrorspec.Region{one}, 1, 1, nil},
		{"the highest", []mirrorspec.Region{two, one}, 2, 2, nil},
		{"not there, not local and AFS are passed over", []mirrorspec.Region{missing, elsewhere, {Name: "afs", AFS: &mirrorspec.Site{}}, one}, 1, 1, nil},
		{"one that cannot be read stops no tree", []mirrorspec.Region{unreadable, one}, 1, 1, nil},
		{"another tree", []mirrorspec.Region{one, foreign}, 0, 0, fault.WrongStorage},
		{"another tree that was moved aside", []mirrorspec.Region{aside, one}, 1, 2, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, above, err := release.Newest(trees[0].Tree, backendtest.Mirror, c.regions)
			if got != c.want || above != c.above || !errors.Is(err, c.kind) {
				t.Errorf("got %d, above %d, %v; want %d, above %d, %v", got, above, err, c.want, c.above, c.kind)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	trees := backendtest.Prepare(t, backendtest.Content{"pool/a": "a"}, backendtest.Content{"pool/a": "a", "pool/b": "b"})
	one, two := publish(t, "one", trees[0]), publish(t, "two", trees[1])
	seen := make(chan *http.Request, 100)
	serve := func(r mirrorspec.Region) string {
		files := http.FileServer(http.Dir(r.Dir))
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r; files.ServeHTTP(w, r) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	answer := func(status int, text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); fmt.Fprint(w, text) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	older, newer := serve(one), serve(two)
	closed := httptest.NewServer(nil)
	closed.Close()
	cases := []struct {
		name  string
		urls  []string
		tree  string
		want  int64
		error string
	}{
		{"one front end", []string{newer}, trees[0].Tree, 2, ""},
		{"a slash at the end", []string{newer + "/"}, trees[0].Tree, 2, ""},
		{"the lowest of several", []string{newer, older, newer}, trees[0].Tree, 1, ""},
		{"one does not answer", []string{newer, closed.URL}, trees[0].Tree, 0, "refused"},
		{"another tree", []string{newer}, "demo-x", 0, "it serves tree"},
		{"not found", []string{answer(404, "")}, trees[0].Tree, 0, "404"},
		{"a captive portal", []string{newer, answer(200, "<html>")}, trees[0].Tree, 0, "malformed"},
		{"no front end", nil, trees[0].Tree, 0, "no URL"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := time.Now()
			got := release.Probe(t.Context(), c.urls, backendtest.Mirror, c.tree)
			if got.Serves != c.want || (c.error == "") != (got.Error == "") || !strings.Contains(got.Error, c.error) || got.At.Before(before) {
				t.Errorf("got %+v, want %d %q", got, c.want, c.error)
			}
		})
	}
	unique := map[string]bool{}
	for range len(seen) {
		r := <-seen
		q := r.URL.Query().Get("probe")
		if unique[q] || q == "" || !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("a cache may answer %s %v", r.URL, r.Header)
		}
		unique[q] = true
	}
	if got := release.ProbeRegion(t.Context(), two, backendtest.Mirror, trees[0].Tree); got.Serves != 2 {
		t.Errorf("the directory shows %+v, want 2", got)
	}
	if got := release.ProbeRegion(t.Context(), two, backendtest.Mirror, "demo-x"); got.Serves != 0 || got.Error == "" {
		t.Errorf("the directory of another tree shows %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := release.Probe(ctx, []string{newer}, backendtest.Mirror, trees[0].Tree); got.Serves != 0 || got.Error == "" {
		t.Errorf("cancelled: %+v", got)
	}
}

func TestOriginServesNothingElse(t *testing.T) {
	trees := backendtest.Prepare(t, backendtest.Content{"pool/a b+c%20": "odd", "dists/Release": "1"})
	p := trees[0]
	if err := os.WriteFile(filepath.Join(p.Root, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(p.Root, backendtest.Mirror, "link")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(release.OriginHandler(p.Root, p.State))
	defer server.Close()
	src := pulledFrom(t, server.URL)
	r, err := src.Object(t.Context(), manifest.Entry{Path: "pool/a b+c%20"})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := src.Object(t.Context(), manifest.Entry{Path: "pool/none"}); !errors.Is(err, fault.Gone) {
		t.Errorf("a missing object: %v, want gone", err)
	}
	zero := manifest.Digest{}.String()
	for _, path := range []string{"/", "/demo", "/demo/", "/demo/pool", "/demo/pool/", "/demo/link", "/secret", "/demo/../secret", "/demo/%2e%2e/secret",
		"/demo/.mirror/id", "/demo/.mirror/generation.json", "/.origin/demo/id", "/.origin/demo/gen/1", "/.origin/demo/lease.1", "/.origin/demo/segments/../../id",
		"/.origin/demo/segments/" + zero, "/.origin/demo/index/" + zero, "/.origin/demo/index/..", "/.origin/.state/sealed", "/.origin/../demo/sealed", "/.origin/none/sealed", "/.origin/"} {
		req, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.URL.Host + path // as it is, without a client's cleaning
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", path, resp.Status)
		}
	}
	resp, err := http.Post(server.URL+"/demo/dists/Release", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}

func TestOriginWithoutASealedGeneration(t *testing.T) {
	trees := backendtest.Prepare(t, backendtest.Content{"pool/a": "a"})
	if err := os.RemoveAll(filepath.Join(trees[0].State, backendtest.Mirror, "sealed")); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]func(*testing.T) (any, error){
		"local": func(t *testing.T) (any, error) {
			g, err := local(t, trees[0]).Sealed(t.Context())
			return g == nil, err
		},
		"pulled": func(t *testing.T) (any, error) {
			g, err := pulled(t, trees[0]).Sealed(t.Context())
			return g == nil, err
		},
	} {
		if none, err := src(t); none != true || err != nil {
			t.Errorf("%s: %v, %v", name, none, err)
		}
	}
}
