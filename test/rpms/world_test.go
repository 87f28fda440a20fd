// Package rpms_test has real dnf 4, dnf5 and zypper install from regions of a yum mirror.
package rpms_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/yum"
	"mirrorcycle/mirrorspec"
)

// world is an upstream that real createrepo_c makes, its mirror, and two regions.
type world struct {
	t       *testing.T
	dir     string // upstream's os/
	key     *openpgp.Entity
	keyring string
	bench   *enginetest.Bench
	engine  enginetest.Engine
	src     backend.Source
	regions []*region
}

type region struct {
	name, dir string
	out       backend.Backend
	server    *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, tool := range []string{"createrepo_c", "modifyrepo_c", "rpm"} {
		_, err := exec.LookPath(tool)
		need.That(t, err == nil, tool)
	}
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "os"), key: debrepotest.NewKey("rpms"), keyring: filepath.Join(t.TempDir(), "keys.asc"), bench: enginetest.New(t, "rpms")}
	w.put(w.keyring, debrepotest.ArmoredKeys(w.key))
	upstream := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(w.dir))))
	t.Cleanup(upstream.Close)
	w.bench.Sources, w.bench.Verify = []string{upstream.URL}, verify.Options{Kind: verify.Yum, Keyring: w.keyring, Proof: yum.ByPackages}
	w.engine = yum.New(yum.Config{Upstreams: w.bench.Sources, Repos: []string{"os"}, Keyring: w.keyring, Proof: yum.ByPackages, Grace: time.Hour}, w.bench.Client)
	root, state := filepath.Join(w.bench.Dir, "root"), filepath.Join(w.bench.Dir, "states")
	w.must(os.Mkdir(root, 0o755), os.Mkdir(state, 0o755), os.Symlink(filepath.Join(w.bench.Dir, "tree"), filepath.Join(root, "rpms")),
		os.Symlink(filepath.Join(w.bench.Dir, "state"), filepath.Join(state, "rpms")))
	for _, name := range []string{"here", "there"} {
		w.region(name, root, state)
	}
	return w
}

func (w *world) region(name, root, state string) {
	w.t.Helper()
	r := &region{name: name, dir: filepath.Join(w.t.TempDir(), name)}
	w.must(dir.Setup(r.dir, name))
	spec := mirrorspec.Region{Name: name, Dir: r.dir}
	src, done, err := release.From(release.Origin{Region: spec, Storage: mirrorspec.Storage{Root: root, State: state}, Mirror: "rpms"})
	w.must(err)
	w.t.Cleanup(done)
	w.src = src
	r.out = w.backend(r, time.Hour)
	handler, err := serve.New(serve.Options{Dir: r.dir, IndexMaxAge: time.Second})
	w.must(err)
	r.server = httptest.NewServer(handler)
	w.t.Cleanup(r.server.Close)
	w.regions = append(w.regions, r)
}

func (w *world) backend(r *region, grace time.Duration) backend.Backend {
	w.t.Helper()
	out, err := release.For(release.Options{Region: mirrorspec.Region{Name: r.name, Dir: r.dir}, Mirror: "rpms", Tree: w.bench.Tree().ID().Tree, Holder: "rpms",
		Policy: backend.Policy{Grace: grace, Keep: time.Second, Every: time.Second}})
	w.must(err)
	return out
}

func (w *world) must(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name string, data []byte) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o644))
}

const (
	comps = `<?xml version="1.0" encoding="UTF-8"?>
<comps><group><id>core</id><name>Core</name><description>Smallest installation</description><default>true</default><uservisible>true</uservisible>
<packagelist><packagereq type="mandatory">beta</packagereq></packagelist></group></comps>
`
	updates = `<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="security@example.org" status="final" type="security" version="1"><id>TEST-2026:0001</id><title>alpha 1.2</title><issued date="2026-01-01 00:00:00"/>
<severity>Important</severity><description>Fixes what 1.0 had.</description><pkglist><collection short="r9"><name>r9</name>
<package name="alpha" version="1.2" release="1" epoch="0" arch="noarch"><filename>alpha-1.2-1.noarch.rpm</filename></package></collection></pkglist></update></updates>
`
)

func modules() string {
	var b strings.Builder
	for _, stream := range []string{"3", "4"} {
		fmt.Fprintf(&b, "---\ndocument: modulemd\nversion: 2\ndata:\n  name: mod\n  stream: \"%[1]s\"\n  version: 901%[1]s\n  context: abcdef\n  arch: x86_64\n  summary: test\n"+
			"  description: test\n  license: {module: [MIT]}\n  profiles: {default: {rpms: [mod]}}\n  artifacts: {rpms: [\"mod-0:%[1]s.0-1.x86_64\"]}\n...\n", stream)
	}
	return b.String() + "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: mod\n  stream: \"3\"\n  profiles: {\"3\": [default], \"4\": [default]}\n...\n"
}

// publish makes upstream's edition, with that version of alpha, and mirrors it into both regions.
func (w *world) publish(alpha string) {
	w.t.Helper()
	w.must(os.RemoveAll(w.dir))
	for _, p := range []rpmrepotest.Package{{Name: "alpha", Version: alpha}, {Name: "beta", Version: "2.0~rc1", Epoch: 1}, {Name: "gamma++", Version: "1.0^git1"},
		{Name: "libx", Version: "1.0", Arch: "i686"}, {Name: "mod", Version: "3.0", Arch: "x86_64"}, {Name: "mod", Version: "4.0", Arch: "x86_64"}} {
		p.Content = p.Name + " " + p.Version
		w.put(filepath.Join(w.dir, "Packages", p.File()), p.Bytes(w.key))
	}
	aside := w.t.TempDir()
	w.put(filepath.Join(aside, "comps.xml"), []byte(comps))
	w.put(filepath.Join(aside, "updateinfo.xml"), []byte(updates))
	w.put(filepath.Join(aside, "modules.yaml"), []byte(modules()))
	w.run("createrepo_c", "-q", "-g", filepath.Join(aside, "comps.xml"), w.dir)
	for _, kind := range []string{"updateinfo.xml", "modules.yaml"} {
		mdtype, _, _ := strings.Cut(kind, ".")
		w.run("modifyrepo_c", "--mdtype="+mdtype, filepath.Join(aside, kind), filepath.Join(w.dir, "repodata"))
	}
	repomd := filepath.Join(w.dir, "repodata/repomd.xml")
	text, err := os.ReadFile(repomd)
	w.must(err)
	w.put(repomd+".asc", rpmrepotest.Repo{Key: w.key}.Sign(text))
	w.put(repomd+".key", debrepotest.ArmoredKeys(w.key))
	r := w.bench.Cycle(w.engine)
	if r.Err != nil || r.Number == 0 || len(r.Notes) > 0 {
		w.t.Fatalf("cycle: %+v", r)
	}
	for _, region := range w.regions {
		outs, err := region.out.Publish(w.t.Context(), w.src)
		if err != nil || len(outs) != 1 || outs[0].Serves != r.Number {
			w.t.Fatalf("publish %d: %+v, %v", r.Number, outs, err)
		}
		w.must(region.out.Confirm(w.t.Context(), region.name, r.Number))
	}
}

func (w *world) run(name string, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
