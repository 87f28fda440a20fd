// Package archives_test mirrors archives that the field's own tools make, and has real apt use the mirrors.
package archives_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// TestMain leaves everything out with -short: these tests need programs that only Debian has.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// maker is a person who makes archives with real tools and signs them with GnuPG.
type maker struct {
	t    *testing.T
	dir  string // of the archive
	home string // of GnuPG
	keys string // path of the public key
	id   string
}

func newMaker(t *testing.T, tools ...string) *maker {
	t.Helper()
	for _, tool := range append(tools, "gpg", "apt-get", "dpkg-deb") {
		_, err := exec.LookPath(tool)
		need.That(t, err == nil, tool+" is not installed")
	}
	home, err := os.MkdirTemp("", "gpg") // a short path: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{t: t, dir: filepath.Join(t.TempDir(), "archive"), home: home, keys: filepath.Join(t.TempDir(), "keys.gpg"), id: "archive@example.org"}
	t.Cleanup(func() {
		m.run(home, "gpgconf", "--homedir", home, "--kill", "all")
		os.RemoveAll(home)
	})
	m.run(home, "gpg", "--batch", "--quiet", "--passphrase", "", "--faked-system-time", "20200101T000000!", "--quick-gen-key", m.id, "ed25519", "sign", "never")
	m.run(home, "gpg", "--batch", "--quiet", "--output", m.keys, "--export", m.id)
	m.mkdir("")
	return m
}

// run runs a tool in dir and returns what it printed.
func (m *maker) run(dir, name string, args ...string) string {
	m.t.Helper()
	cmd := exec.Command(name, args...) // also when the test's context is over, to clean up
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+m.home, "LC_ALL=C")
	var fault strings.Builder
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, fault.String())
	}
	return string(out)
}

func (m *maker) mkdir(p string) string {
	m.t.Helper()
	full := filepath.Join(m.dir, p)
	if err := os.MkdirAll(full, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return full
}

func (m *maker) write(p, text string) string {
	m.t.Helper()
	m.mkdir(filepath.Dir(p))
	full := filepath.Join(m.dir, p)
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return full
}

// deb builds a package into a directory of the archive.
func (m *maker) deb(dir, name, version, arch string) {
	m.t.Helper()
	root := m.t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\nSection: misc\nPriority: optional\nDescription: test\n more\n",
		name, version, arch)
	bin := filepath.Join(root, "usr", "bin")
	err := errors.Join(os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755), os.MkdirAll(bin, 0o755),
		os.WriteFile(filepath.Join(root, "DEBIAN", "control"), []byte(control), 0o644),
		os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho "+version+"\n"), 0o755))
	if err != nil {
		m.t.Fatal(err)
	}
	m.run(root, "dpkg-deb", "--root-owner-group", "-b", root, filepath.Join(m.mkdir(dir), fmt.Sprintf("%s_%s_%s.deb", name, version, arch)))
}

// source builds a source package into a directory of the archive.
func (m *maker) source(dir, name, version string) {
	m.t.Helper()
	work := m.t.TempDir()
	files := map[string]string{
		"debian/control":       fmt.Sprintf("Source: %s\nMaintainer: Nobody <nobody@example.org>\nSection: misc\nPriority: optional\n\nPackage: %s\nArchitecture: any\nDescription: test\n", name, name),
		"debian/changelog":     fmt.Sprintf("%s (%s) stable; urgency=low\n\n  * Test.\n\n -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n", name, version),
		"debian/source/format": "3.0 (native)\n",
	}
	for p, text := range files {
		full := filepath.Join(work, name, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run(m.mkdir(dir), "dpkg-source", "-b", filepath.Join(work, name))
}

// sign makes InRelease and Release.gpg of the Release in a directory of the archive.
func (m *maker) sign(dir string) {
	m.t.Helper()
	m.run(m.mkdir(dir), "gpg", "--batch", "--yes", "--quiet", "--local-user", m.id, "--output", "InRelease", "--clearsign", "Release")
	m.run(m.mkdir(dir), "gpg", "--batch", "--yes", "--quiet", "--local-user", m.id, "--armor", "--output", "Release.gpg", "--detach-sign", "Release")
}

// upstreamOf serves a directory on loopback. Tests publish twice within a second, so
// files are told apart by their content, not by their time.
func upstreamOf(t *testing.T, dir string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path.Clean("/"+r.URL.Path))))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", debrepotest.Digests(data).MD5))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// mirror is a mirror of an archive, and a region of it with its web server.
type mirror struct {
	spec mirrorspec.Mirror
	b    *enginetest.Bench
	e    *apt.Engine
	out  backend.Backend
	src  backend.Source
	url  string // of the mirror in the region
}

// newMirror mirrors spec, of which Name, Upstream and Keyring are filled in.
func (m *maker) newMirror(spec mirrorspec.Mirror, upstream string) *mirror {
	m.t.Helper()
	spec.Name, spec.Kind, spec.Upstream, spec.Keyring = "archive", mirrorspec.Apt, []string{upstream}, m.keys
	if spec.Translations == nil {
		spec.Translations = []string{mirrorspec.AllLanguages}
	}
	out := &mirror{spec: spec, b: enginetest.New(m.t, spec.Name)}
	out.b.Verify, out.b.Sources = verify.Options{Kind: verify.Apt, Keyring: m.keys}, spec.Upstream
	out.e = apt.New(apt.Config{Upstreams: spec.Upstream, Suites: spec.Suites, Components: spec.Components, Architectures: spec.Architectures,
		Indexes: spec.Indexes, Translations: spec.Translations, Keyring: spec.Keyring, Tolerate: spec.Missing == mirrorspec.Tolerate,
		IgnoreValidUntil: spec.IgnoreValidUntil, ByHash: true}, out.b.Client)
	if err := out.region(m.t); err != nil {
		m.t.Fatal(err)
	}
	return out
}

// region makes the directory of a region, and serves it as the program does.
func (m *mirror) region(t *testing.T) error {
	at := mirrorspec.Region{Name: "here", Dir: filepath.Join(m.b.Dir, "region")}
	// release looks for <root>/<mirror>; the bench calls its tree "tree".
	root, state := filepath.Join(m.b.Dir, "root"), filepath.Join(m.b.Dir, "states")
	err := errors.Join(dir.Setup(at.Dir, at.Name), os.Mkdir(root, 0o755), os.Mkdir(state, 0o755),
		os.Symlink(filepath.Join(m.b.Dir, "tree"), filepath.Join(root, m.spec.Name)), os.Symlink(filepath.Join(m.b.Dir, "state"), filepath.Join(state, m.spec.Name)))
	if err != nil {
		return err
	}
	var done func()
	if m.src, done, err = release.From(release.Origin{Region: at, Storage: mirrorspec.Storage{Root: root, State: state}, Mirror: m.spec.Name}); err != nil {
		return err
	}
	t.Cleanup(done)
	m.out, err = release.For(release.Options{Region: at, Mirror: m.spec.Name, Tree: m.b.Tree().ID().Tree, Holder: "archives",
		Policy: backend.Policy{Grace: time.Hour, Keep: time.Hour, Every: time.Hour}})
	if err != nil {
		return err
	}
	handler, err := serve.New(serve.Options{Dir: at.Dir, IndexMaxAge: time.Second})
	if err != nil {
		return err
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	m.url = s.URL + "/" + m.spec.Name
	return nil
}

// run runs a cycle and releases what it makes.
func (m *mirror) run(t *testing.T) enginetest.Result {
	t.Helper()
	r := m.b.Cycle(m.e)
	if r.Number > 0 {
		m.release(t)
	}
	return r
}

// release lets the region serve the newest generation.
func (m *mirror) release(t *testing.T) {
	t.Helper()
	if outs, err := m.out.Publish(t.Context(), m.src); err != nil || len(outs) != 1 || outs[0].Serves == 0 {
		t.Fatalf("release: %+v, %v", outs, err)
	}
}

// cycle wants a new generation, and no note.
func (m *mirror) cycle(t *testing.T) {
	t.Helper()
	if r := m.run(t); r.Err != nil || r.Number == 0 || len(r.Notes) != 0 {
		t.Fatalf("cycle: generation %d, %v, notes %+v", r.Number, r.Err, r.Notes)
	}
}
