package lab

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/simpleindex"
)

// Upstream is an apt archive and a package index on loopback that tests change between cycles.
type Upstream struct {
	tb      testing.TB
	URL     string
	Keyring string // path
	key     *openpgp.Entity
	mu      sync.Mutex
	apt     map[string][]byte
	pypi    map[string][]byte
	pages   map[string]string // project to serial
	serial  int64
	date    time.Time
	hits    map[string]int
	// Gate, if set, sees every request first; it may wait.
	Gate func(path string)
}

// NewUpstream starts an empty upstream.
func NewUpstream(tb testing.TB) *Upstream {
	tb.Helper()
	u := &Upstream{tb: tb, key: debrepotest.NewKey("upstream"), apt: map[string][]byte{}, pypi: map[string][]byte{}, pages: map[string]string{},
		hits: map[string]int{}, date: time.Now().Add(-24 * time.Hour).Truncate(time.Second)}
	u.Keyring = filepath.Join(tb.TempDir(), "keyring.gpg")
	if err := os.WriteFile(u.Keyring, debrepotest.PublicKeys(u.key), 0o644); err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewServer(u)
	tb.Cleanup(s.Close)
	u.URL = s.URL
	return u
}

func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if gate := u.gate(); gate != nil {
		gate(r.URL.Path)
	}
	u.mu.Lock()
	u.hits[r.URL.Path]++
	data, ok := u.lookup(w, r.URL.Path)
	u.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (u *Upstream) gate() func(string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.Gate
}

// SetGate sets Gate while requests run.
func (u *Upstream) SetGate(gate func(path string)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Gate = gate
}

func (u *Upstream) lookup(w http.ResponseWriter, path string) ([]byte, bool) {
	if p, ok := strings.CutPrefix(path, "/apt/"); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		data, ok := u.apt[p]
		return data, ok
	}
	p := strings.TrimPrefix(path, "/pypi/")
	if strings.HasPrefix(p, "simple/") {
		w.Header().Set("Content-Type", simpleindex.MediaV1JSON)
		if serial, ok := u.pages[strings.Trim(strings.TrimPrefix(p, "simple/"), "/")]; ok {
			w.Header().Set("X-PyPI-Last-Serial", serial)
		}
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	data, ok := u.pypi[p]
	return data, ok
}

// Hits returns the requests since the last call, by path.
func (u *Upstream) Hits() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.hits
	u.hits = map[string]int{}
	return out
}

// Deb is a package of the architecture amd64 for Debs.
func Deb(name, version string) debrepotest.Package {
	return debrepotest.Package{Deb: debrepotest.Deb{Name: name, Version: version, Arch: "amd64"}}
}

// Debs publishes the suite "stable" with these packages; by-hash files of older publications stay.
func (u *Upstream) Debs(packages ...debrepotest.Package) {
	u.tb.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.date = u.date.Add(time.Minute)
	repo := debrepotest.Repo{Keys: []*openpgp.Entity{u.key}, Suites: []debrepotest.Suite{{Name: "stable", Packages: packages,
		Release: debrepo.Release{Date: u.date, AcquireByHash: true, Components: []string{"main"}, Architectures: []string{"amd64"}}}}}
	files, err := repo.Files()
	if err != nil {
		u.tb.Fatal(err)
	}
	u.archive(files)
}

// AptMirror is the TOML of a mirror of the suite.
func (u *Upstream) AptMirror(name, grace string) string {
	return fmt.Sprintf("[[mirror]]\nname = %q\nkind = \"apt\"\nupstream = [\"%s/apt\"]\nsuites = [\"stable\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\nkeyring = %q\ngrace = %q\n",
		name, u.URL, u.Keyring, grace)
}

// PyPIMirror is the TOML of a mirror of all projects.
func (u *Upstream) PyPIMirror(name, grace string) string {
	return fmt.Sprintf("[[mirror]]\nname = %q\nkind = \"pypi\"\nupstream = [\"%s/pypi\"]\nprojects = [\"*\"]\ngrace = %q\n", name, u.URL, grace)
}

// Project publishes a project with these versions, each a wheel; none deletes it.
func (u *Upstream) Project(name string, versions ...string) {
	u.tb.Helper()
	var wheels []Object
	for _, v := range versions {
		filename, data := Wheel(name, v)
		wheels = append(wheels, Object{Filename: filename, Version: v, Data: data})
	}
	u.Objects(name, wheels...)
}

func (u *Upstream) root() {
	var b bytes.Buffer
	err := simpleindex.RenderRootJSON(&b, u.serial, func(yield func(simpleindex.RootProject) bool) {
		for _, name := range slices.Sorted(maps.Keys(u.pages)) {
			serial, _ := strconv.ParseInt(u.pages[name], 10, 64)
			if !yield(simpleindex.RootProject{Name: name, LastSerial: serial}) {
				return
			}
		}
	})
	if err != nil {
		u.tb.Fatal(err)
	}
	u.pypi["simple/"] = b.Bytes()
}

// Wheel makes a small wheel of one module.
func Wheel(name, version string) (filename string, data []byte) {
	dist := strings.ReplaceAll(name, "-", "_")
	info := dist + "-" + version + ".dist-info/"
	files := [][2]string{
		{dist + "/__init__.py", "version = " + strconv.Quote(version) + "\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", dist + "/__init__.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f[0], Method: zip.Deflate, Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			panic(err) // writing to memory
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return dist + "-" + version + "-py3-none-any.whl", b.Bytes()
}

// WheelPath is where a mirror has the wheel.
func WheelPath(name, version string) string {
	filename, data := Wheel(name, version)
	sum := sha256.Sum256(data)
	return "/" + simpleindex.ObjectPath("", hex.EncodeToString(sum[:]), filename)
}

// DebPath is where a mirror has the package.
func DebPath(name, version string) string {
	return "/pool/main/" + name[:1] + "/" + name + "/" + Deb(name, version).Filename()
}
