package flips_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/yum"
)

// yumFlips of each way to publish, and at least as many installs.
const yumFlips = 300

// way is how a repository is published and read.
type way struct {
	name    string
	naive   bool // an atomic flip to a view that has only its own files
	signed  bool // clients check repomd.xml.asc (repo_gpgcheck)
	simple  bool // data files have simple names
	apart   string
	mustRun bool // failures are expected: without them the harness shows nothing
}

// ways are the rows of what was measured with real clients. What no layout can
// keep together is counted apart.
var ways = []way{
	{name: "a flip to a view of its own files", naive: true, mustRun: true},
	{name: "ours"},
	{name: "ours with repo_gpgcheck", signed: true, apart: "repomd.xml with the signature of another"},
	{name: "ours with simple names", simple: true, apart: "data of another repomd.xml under the same name"},
}

// publisher is an upstream of one repository, and a region of it.
type publisher struct {
	way
	key    *openpgp.Entity
	keys   string // path of the keyring
	files  atomic.Pointer[map[string][]byte]
	region string // URL of the repository that clients read
	flip   func(t *testing.T)
	naiveN int

	mu    sync.Mutex
	n     int64
	again chan struct{} // closed with the next flip
}

func newPublisher(t *testing.T, w way) *publisher {
	t.Helper()
	p := &publisher{way: w, key: debrepotest.NewKey("flips"), keys: filepath.Join(t.TempDir(), "keys.asc"), again: make(chan struct{})}
	if err := os.WriteFile(p.keys, debrepotest.ArmoredKeys(p.key), 0o644); err != nil {
		t.Fatal(err)
	}
	if w.naive {
		p.naiveRegion(t)
		return p
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := (*p.files.Load())[strings.TrimPrefix(r.URL.Path, "/os/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, path.Base(r.URL.Path), time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(upstream.Close)
	region := filepath.Join(t.TempDir(), "region")
	if err := dir.Setup(region, "here"); err != nil {
		t.Fatal(err)
	}
	m := newMirror(t, region, "rpms", func(b *enginetest.Bench) enginetest.Engine {
		b.Verify, b.Sources = verify.Options{Kind: verify.Yum, Keyring: p.keys}, []string{upstream.URL}
		return yum.New(yum.Config{Upstreams: b.Sources, Repos: []string{"os"}, Keyring: p.keys, Grace: time.Hour}, b.Client)
	})
	p.flip = m.flip
	handler, err := serve.New(serve.Options{Dir: region, IndexMaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	p.region = srv.URL + "/rpms/os"
	return p
}

// naiveRegion publishes as many scripts do: a new directory, and a link that is renamed.
func (p *publisher) naiveRegion(t *testing.T) {
	root := t.TempDir()
	p.flip = func(t *testing.T) {
		p.naiveN++
		to := fmt.Sprint("gen", p.naiveN)
		for name, data := range *p.files.Load() {
			full := filepath.Join(root, to, "os", name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Symlink(to, filepath.Join(root, "new")), os.Rename(filepath.Join(root, "new"), filepath.Join(root, "rpms"))); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(root)))
	t.Cleanup(srv.Close)
	p.region = srv.URL + "/rpms/os"
}

// publish makes edition i and flips the region to it. Upstream keeps only what it names.
func (p *publisher) publish(t *testing.T, i int) {
	t.Helper()
	rpm := func(name string, version int) rpmrepotest.Package {
		return rpmrepotest.Package{Name: name, Version: fmt.Sprint(version), Content: fmt.Sprint(name, version)}
	}
	files := rpmrepotest.Repo{Packages: []rpmrepotest.Package{rpm("alpha", i), rpm("beta", i/2), rpm("gamma", 1)}, Key: p.key,
		Signed: true, Simple: p.simple, Revision: 1700000000 + int64(i)}.Files()
	p.files.Store(&files)
	p.flip(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	close(p.again)
	p.again = make(chan struct{})
}

// next returns a channel that is closed with the next flip.
func (p *publisher) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.again
}

// rpmReader installs as dnf does: repomd.xml, its signature, data, packages. Before
// one of these it lets a flip pass.
type rpmReader struct {
	*publisher
	keys     *rpmrepo.Keyring
	stop     <-chan struct{}
	installs atomic.Int64
	apart    atomic.Int64
	mu       sync.Mutex
	failures []string
}

// errApart is a failure that no layout prevents.
var errApart = errors.New("of another generation")

func (r *rpmReader) fetch(name string) ([]byte, error) {
	inner := reader{url: r.region}
	data, ok := inner.get("/"+name, "*/*")
	if !ok {
		return nil, errors.New(strings.Join(inner.failures, "; "))
	}
	return data, nil
}

// pause waits for a flip, if it is the turn of this place.
func (r *rpmReader) pause(turn bool) {
	if turn {
		select {
		case <-r.next():
		case <-r.stop:
		}
	}
}

func (r *rpmReader) install(straddle int) error {
	text, err := r.fetch("repodata/repomd.xml")
	if err != nil {
		return err
	}
	r.pause(straddle == 1)
	if r.signed {
		asc, err := r.fetch("repodata/repomd.xml.asc")
		if err != nil {
			return err
		}
		if _, err := rpmrepo.ProveRepomd(r.keys, text, asc); err != nil {
			return fmt.Errorf("%w: %w", errApart, err)
		}
	}
	r.pause(straddle == 2)
	md, err := rpmrepo.ParseRepomd(text)
	if err != nil {
		return err
	}
	var primary []byte
	for _, d := range md.Data {
		data, err := r.fetch(d.Href)
		if err != nil {
			return err
		}
		if err := r.is(d.Href, data, d.Checksum); err != nil {
			if r.simple {
				err = fmt.Errorf("%w: %w", errApart, err)
			}
			return err
		}
		if d.Type == "primary" {
			primary = data
		}
	}
	r.pause(straddle == 3)
	plain, err := debrepo.Decompress("primary.xml.gz", bytes.NewReader(primary), 1<<20)
	if err != nil {
		return err
	}
	for p, err := range rpmrepo.ReadPrimary(plain) {
		if err != nil {
			return err
		}
		data, err := r.fetch(p.Href)
		if err != nil {
			return err
		}
		if err := r.is(p.Href, data, p.Checksum); err != nil {
			return err
		}
	}
	return nil
}

func (r *rpmReader) is(name string, data []byte, sum rpmrepo.Checksum) error {
	h := sum.New()
	h.Write(data)
	if got := hex.EncodeToString(h.Sum(nil)); got != sum.Hex {
		return fmt.Errorf("%s is %s, not %s", name, got, sum)
	}
	return nil
}

// run installs until it is stopped. What fails apart must pass when it is tried
// again, as clients do.
func (r *rpmReader) run(straddle int) {
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		r.pause(straddle == 0)
		err := r.install(straddle)
		for try := 0; errors.Is(err, errApart) && try < 20; try++ {
			r.apart.Add(1)
			err = r.install(0)
		}
		if err != nil {
			r.mu.Lock()
			r.failures = append(r.failures, err.Error())
			r.mu.Unlock()
		}
		r.installs.Add(1)
	}
}

// TestYumReadersStraddlingFlips is promise 2 for rpm repositories: four readers
// install while the region flips 300 times, each with a flip before one of its
// requests. None may fail but for what is counted apart; a region that flips to
// views of their own files fails in the same harness.
func TestYumReadersStraddlingFlips(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, w)
			p.publish(t, 0)
			keyring, err := os.Open(p.keys)
			if err != nil {
				t.Fatal(err)
			}
			defer keyring.Close()
			keys, err := debrepo.ReadKeyring(keyring)
			if err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			r := &rpmReader{publisher: p, keys: keys, stop: stop}
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() { r.run(i) })
			}
			for i := 1; i < yumFlips || r.installs.Load() < yumFlips && i < 20*yumFlips; i++ {
				p.publish(t, i)
			}
			close(stop)
			wg.Wait()
			r.judge(t, p.n)
		})
	}
}

func (r *rpmReader) judge(t *testing.T, flips int64) {
	t.Helper()
	t.Logf("%d flips, %d installs, %d failed, %d tried again: %s", flips, r.installs.Load(), len(r.failures), r.apart.Load(), r.way.apart)
	switch {
	case r.mustRun && len(r.failures) == 0:
		t.Error("no install failed, so the harness sees nothing")
	case !r.mustRun && len(r.failures) > 0:
		t.Errorf("%d of %d installs failed, the first: %s", len(r.failures), r.installs.Load(), r.failures[0])
	case r.way.apart == "" && r.apart.Load() > 0:
		t.Errorf("%d installs failed in a way that was not expected", r.apart.Load())
	case r.installs.Load() < yumFlips:
		t.Errorf("only %d installs", r.installs.Load())
	}
}
