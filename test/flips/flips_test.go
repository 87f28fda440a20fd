// Package flips_test reads from a region while it flips a thousand times.
package flips_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// flips of each of the two mirrors.
const flips = 500

// mirror is a tree with its engine, and the region it is published to.
type mirror struct {
	*enginetest.Bench
	engine enginetest.Engine
	out    backend.Backend
	src    backend.Source
}

func newMirror(t *testing.T, region, name string, engine func(*enginetest.Bench) enginetest.Engine) *mirror {
	t.Helper()
	b := enginetest.New(t, name)
	m := &mirror{Bench: b, engine: engine(b)}
	// release looks for <root>/<mirror>; the bench calls its tree "tree".
	root, state := filepath.Join(b.Dir, "root"), filepath.Join(b.Dir, "states")
	if err := errors.Join(os.Mkdir(root, 0o755), os.Mkdir(state, 0o755), os.Symlink(filepath.Join(b.Dir, "tree"), filepath.Join(root, name)),
		os.Symlink(filepath.Join(b.Dir, "state"), filepath.Join(state, name))); err != nil {
		t.Fatal(err)
	}
	src, done, err := release.From(release.Origin{Region: mirrorspec.Region{Name: "here", Dir: region},
		Storage: mirrorspec.Storage{Root: root, State: state}, Mirror: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	m.src = src
	m.out, err = release.For(release.Options{Region: mirrorspec.Region{Name: "here", Dir: region}, Mirror: name, Tree: b.Tree().ID().Tree, Holder: "flips",
		Policy: backend.Policy{Grace: 5 * time.Second, Keep: time.Second, Every: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// flip makes a generation and publishes it, as a cycle does.
func (m *mirror) flip(t *testing.T) {
	t.Helper()
	r := m.Cycle(m.engine)
	if r.Err != nil || r.Number == 0 || len(r.Notes) > 0 {
		t.Fatalf("cycle: %+v", r)
	}
	ctx := context.Background()
	outs, err := m.out.Publish(ctx, m.src)
	if err != nil || len(outs) != 1 || outs[0].Serves != r.Number {
		t.Fatalf("publish %d: %+v, %v", r.Number, outs, err)
	}
	if err := m.out.Confirm(ctx, "here", r.Number); err != nil {
		t.Fatal(err)
	}
	if _, err := m.out.Reap(ctx); err != nil {
		t.Fatal(err)
	}
}

// reader takes an index and what it names, over and over.
type reader struct {
	url       string
	reads     atomic.Int64
	canonical atomic.Int64 // canonical index of another generation than InRelease
	mu        sync.Mutex
	failures  []string
}

func (r *reader) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) < 20 {
		r.failures = append(r.failures, fmt.Sprintf(format, args...))
	}
}

func (r *reader) get(path, accept string) ([]byte, bool) {
	req, _ := http.NewRequest(http.MethodGet, r.url+path, nil)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.fail("%s: %v", path, err)
		return nil, false
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.fail("%s: %s %v", path, resp.Status, err)
		return nil, false
	}
	return data, true
}

func (r *reader) python() {
	page, ok := r.get("/pypi/simple/nova/", simpleindex.MediaV1JSON)
	if !ok {
		return
	}
	p, err := simpleindex.ParseProject(page, "nova", r.url+"/pypi/simple/nova/")
	if err != nil {
		r.fail("project page: %v", err)
		return
	}
	for _, f := range p.Files {
		r.object(strings.TrimPrefix(f.URL, r.url), f.SHA256)
		r.object(strings.TrimPrefix(f.URL, r.url)+".metadata", f.CoreMetadata.SHA256)
	}
	r.reads.Add(1)
}

func (r *reader) object(path, want string) {
	data, ok := r.get(path, "*/*")
	if sum := sha256.Sum256(data); ok && hex.EncodeToString(sum[:]) != want {
		r.fail("%s: SHA-256 %x, want %s", path, sum, want)
	}
}

func (r *reader) debian() {
	data, ok := r.get("/debian/dists/stable/InRelease", "*/*")
	if !ok {
		return
	}
	_, text, _ := bytes.Cut(data, []byte("\n\n"))
	text, _, _ = bytes.Cut(text, []byte("\n-----BEGIN PGP SIGNATURE"))
	rel, err := debrepo.ParseRelease(append(text, '\n'))
	if err != nil {
		r.fail("InRelease: %v", err)
		return
	}
	f, ok := rel.File("main/binary-amd64/Packages.xz")
	if !ok {
		r.fail("InRelease lists no Packages.xz")
		return
	}
	r.canonicalIndex(f)
	index, ok := r.get("/debian/dists/stable/"+debrepo.ByHashPath(f.Path, debrepo.SHA256, f.Hashes.SHA256), "*/*")
	if !ok {
		return
	}
	plain, err := debrepo.Decompress(f.Path, bytes.NewReader(index), 1<<20)
	if err != nil {
		r.fail("Packages.xz: %v", err)
		return
	}
	for p, err := range debrepo.ReadPackages(plain) {
		if err != nil {
			r.fail("Packages: %v", err)
			return
		}
		r.object("/debian/"+p.Filename, p.Hashes.SHA256)
	}
	r.reads.Add(1)
}

// canonicalIndex counts what clients that do not know by-hash meet in a flip.
func (r *reader) canonicalIndex(f debrepo.File) {
	data, ok := r.get("/debian/dists/stable/"+f.Path, "*/*")
	if sum := sha256.Sum256(data); ok && hex.EncodeToString(sum[:]) != f.Hashes.SHA256 {
		r.canonical.Add(1)
	}
}

// TestReadersStraddlingFlips is promise 2: eight readers take an index and all
// that it names while both mirrors flip 500 times each. None may fail, but for
// the index under its canonical name, which is counted.
func TestReadersStraddlingFlips(t *testing.T) {
	region := filepath.Join(t.TempDir(), "region")
	if err := dir.Setup(region, "here"); err != nil {
		t.Fatal(err)
	}
	u := lab.NewUpstream(t)
	publish := func(i int) {
		u.Debs(lab.Deb("alpha", fmt.Sprint(i)), lab.Deb("beta", fmt.Sprint(i/2)), lab.Deb("gamma", "1"))
		u.Project("nova", fmt.Sprintf("1.%d", i), fmt.Sprintf("1.%d", i+1))
	}
	publish(0)
	debian := newMirror(t, region, "debian", func(b *enginetest.Bench) enginetest.Engine {
		b.Verify, b.Sources = verify.Options{Kind: verify.Apt, Keyring: u.Keyring}, []string{u.URL + "/apt"}
		return apt.New(apt.Config{Upstreams: b.Sources, Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"},
			Keyring: u.Keyring, ByHash: true}, b.Client)
	})
	python := newMirror(t, region, "pypi", func(b *enginetest.Bench) enginetest.Engine {
		b.Verify, b.Sources = verify.Options{Kind: verify.PyPI}, []string{u.URL + "/pypi"}
		return pypi.New(pypi.Config{Upstreams: b.Sources, Projects: []string{"*"}, Workers: 2}, b.Client)
	})
	debian.flip(t)
	python.flip(t)
	handler, err := serve.New(serve.Options{Dir: region, IndexMaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	r := &reader{url: srv.URL}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		read := r.python
		if i%2 == 0 {
			read = r.debian
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					read()
				}
			}
		})
	}
	for i := 1; i < flips; i++ {
		publish(i)
		debian.flip(t)
		python.flip(t)
	}
	close(stop)
	wg.Wait()
	if len(r.failures) > 0 {
		t.Errorf("%d reads, failures:\n%s", r.reads.Load(), strings.Join(r.failures, "\n"))
	}
	if r.reads.Load() < flips {
		t.Errorf("only %d reads in %d flips", r.reads.Load(), 2*flips)
	}
	t.Logf("%d flips, %d reads, 0 failures; %d times a canonical index was newer than the InRelease read before it", 2*flips, r.reads.Load(), r.canonical.Load())
}
