package pypi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/mirrorspec"
)

// region is a directory region of a stage, behind a web server. Whoever reads
// there sees what was released, and nothing of the tree.
type region struct {
	t   *testing.T
	out backend.Backend
	src backend.Source
	url string
}

func newRegion(t *testing.T, s *stage) *region {
	t.Helper()
	base := t.TempDir()
	at := mirrorspec.Region{Name: "here", Dir: filepath.Join(base, "here")}
	root, state := filepath.Join(base, "trees"), filepath.Join(base, "state")
	err := errors.Join(dir.Setup(at.Dir, at.Name), os.Mkdir(root, 0o755), os.Mkdir(state, 0o755),
		os.Symlink(filepath.Join(s.b.Dir, "tree"), filepath.Join(root, "pypi")), os.Symlink(filepath.Join(s.b.Dir, "state"), filepath.Join(state, "pypi")))
	if err != nil {
		t.Fatal(err)
	}
	r := &region{t: t}
	var done func()
	if r.src, done, err = release.From(release.Origin{Region: at, Storage: mirrorspec.Storage{Root: root, State: state}, Mirror: "pypi"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	if r.out, err = release.For(release.Options{Region: at, Mirror: "pypi", Tree: s.b.Tree().ID().Tree, Holder: "test",
		Policy: backend.Policy{Grace: time.Hour, Keep: time.Hour, Every: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	handler, err := serve.New(serve.Options{Dir: at.Dir, IndexMaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	r.url = web.URL + "/pypi/"
	r.release()
	return r
}

// release lets the region serve the newest sealed generation.
func (r *region) release() {
	r.t.Helper()
	if outs, err := r.out.Publish(r.t.Context(), r.src); err != nil || len(outs) != 1 || outs[0].Serves == 0 {
		r.t.Fatalf("release: %+v, %v", outs, err)
	}
}

func (r *region) get(link string) ([]byte, int) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", simpleindex.MediaV1JSON)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return data, resp.StatusCode
}

// sees reads the root page and each project's page through the web server, and
// downloads all that pages name: it is what the page says, or the test fails.
// It returns the names of the files, by project.
func (r *region) sees(names ...string) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for _, name := range names {
		out[name] = ""
	}
	data, _ := r.get(r.url + "simple/")
	var root struct{ Projects []struct{ Name string } }
	if err := json.Unmarshal(data, &root); err != nil {
		r.t.Fatalf("root page: %v", err)
	}
	listed := map[string]bool{}
	for _, p := range root.Projects {
		listed[p.Name] = true
		out[p.Name] = strings.Join(r.project(p.Name), " ")
	}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if listed[name] {
			continue
		}
		if _, code := r.get(r.url + "simple/" + name + "/"); code == http.StatusOK { // in quarantine, or the page names files without being listed
			out[name] = strings.Join(r.project(name), " ")
		}
	}
	return out
}

func (r *region) project(name string) (files []string) {
	r.t.Helper()
	page := r.url + "simple/" + name + "/"
	data, code := r.get(page)
	var p struct {
		Files []struct {
			Filename, URL string
			Hashes        map[string]string
		}
	}
	if err := json.Unmarshal(data, &p); err != nil || code != http.StatusOK {
		r.t.Fatalf("%s: %d, %v", page, code, err)
	}
	base, _ := url.Parse(page)
	for _, f := range p.Files {
		ref, err := base.Parse(f.URL)
		if err != nil {
			r.t.Fatal(err)
		}
		content, code := r.get(ref.String())
		if sum := sha256.Sum256(content); code != http.StatusOK || hex.EncodeToString(sum[:]) != f.Hashes["sha256"] {
			r.t.Errorf("%s names %s: %d, and it has other bytes", page, ref, code)
		}
		files = append(files, f.Filename)
	}
	return files
}
