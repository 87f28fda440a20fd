package apt_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/fault"
)

// good is what the archives of the hostile tests hold at first, next what they hold later.
var (
	good = map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("b", "1")}}
	next = map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("c", "1")}}
)

// stanza renders a package of the pool for Packages, perhaps with a lie in it.
func stanza(p debrepotest.Package, change func(*debrepo.Package)) []byte {
	data := p.Bytes()
	out := debrepo.Package{Name: p.Name, Version: p.Version, Architecture: p.Arch, Size: int64(len(data)), Hashes: debrepotest.Digests(data),
		Filename: "pool/main/" + p.Name[:1] + "/" + p.Name + "/" + p.Filename()}
	if change != nil {
		change(&out)
	}
	var b bytes.Buffer
	if err := debrepo.WritePackage(&b, out); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// forged is a suite whose files a test may change before and after it is signed.
type forged struct {
	suite   string // "stable" if empty
	plain   []byte // of Packages
	release func(*debrepo.Release)
	text    func(string) string // of Release, before it is signed
	keys    []*openpgp.Entity   // nil for the archive's own
	files   func(map[string][]byte)
}

// forge publishes f beside what is in the archive.
func (a *archive) forge(f forged) {
	a.t.Helper()
	a.date = a.date.Add(time.Minute)
	if f.suite == "" {
		f.suite = "stable"
	}
	if f.keys == nil {
		f.keys = a.keys
	}
	rel := &debrepo.Release{Origin: "Test", Suite: f.suite, Codename: f.suite, Date: a.date, AcquireByHash: true,
		Components: []string{"main"}, Architectures: []string{"amd64"}}
	files := map[string][]byte{}
	dir := "dists/" + f.suite + "/"
	for _, form := range []string{"", "xz", "gz"} {
		data, err := debrepotest.Compress(form, f.plain)
		if err != nil {
			a.t.Fatal(err)
		}
		file := debrepo.File{Path: strings.TrimSuffix("main/binary-amd64/Packages."+form, "."), Size: int64(len(data)), Hashes: debrepotest.Digests(data)}
		rel.Files = append(rel.Files, file)
		if form != "" {
			for _, p := range append(debrepo.ByHashPaths(file), file.Path) {
				files[dir+p] = data
			}
		}
	}
	if f.release != nil {
		f.release(rel)
	}
	text := string(rel.Text())
	if f.text != nil {
		text = f.text(text)
	}
	inRelease, err := debrepo.Clearsign([]byte(text), a.date, f.keys...)
	if err != nil {
		a.t.Fatal(err)
	}
	files[dir+"InRelease"] = inRelease
	if f.files != nil {
		f.files(files)
	}
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	all := maps.Clone(a.u.files)
	for name := range all {
		if strings.HasPrefix(name, dir) {
			delete(all, name)
		}
	}
	maps.Copy(all, files)
	a.u.files = all
}

// edit changes published files.
func (a *archive) edit(change func(map[string][]byte)) {
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	all := maps.Clone(a.u.files)
	change(all)
	a.u.files = all
}

// indexes lets change every form of every index of the suite stable.
func indexes(files map[string][]byte, change func([]byte) []byte) {
	for name, data := range files {
		if strings.Contains(name, "/binary-amd64/") {
			files[name] = change(data)
		}
	}
}

// snapshot digests every file of the tree, and its generation.json.
func snapshot(t *testing.T, b *enginetest.Bench) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range append(b.Files(), ".mirror/generation.json") {
		target, err := os.Readlink(filepath.Join(b.Dir, "tree", f))
		if err != nil {
			target = debrepotest.Digests([]byte(b.Read(f))).SHA256
		}
		out[f] = target
	}
	return out
}

// unchanged checks that every file is there as before. Objects that no index
// names yet may have come.
func unchanged(t *testing.T, before map[string]string, b *enginetest.Bench) {
	t.Helper()
	after := snapshot(t, b)
	for name := range after {
		if before[name] == "" && (strings.HasPrefix(name, "pool/") || strings.Contains(name, "/by-hash/")) {
			delete(after, name)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the tree has changed: %s", diff)
	}
}

// refused checks that a cycle made no generation and says once, clearly, why.
func refused(t *testing.T, r enginetest.Result, kind fault.Kind, text string) {
	t.Helper()
	if r.Number != 0 {
		t.Fatalf("generation %d was published", r.Number)
	}
	noted(t, r, kind, text)
}

// noted checks that a cycle has exactly one note and that it is a useful one.
func noted(t *testing.T, r enginetest.Result, kind fault.Kind, text string) {
	t.Helper()
	if len(r.Notes) != 1 {
		t.Fatalf("want one note, got %+v (error %v)", r.Notes, r.Err)
	}
	n := r.Notes[0]
	if r.Err != nil && (r.Err.Error() != n.Error || fault.KindOf(r.Err) != fault.Kind(n.Kind)) {
		t.Errorf("error %v, note %+v", r.Err, n)
	}
	if n.Unit != "stable" || n.Kind != string(kind) {
		t.Errorf("note of unit %q and kind %q, want stable and %q: %s", n.Unit, n.Kind, kind, n.Error)
	}
	if !strings.Contains(n.Error, text) {
		t.Errorf("note does not contain %q: %s", text, n.Error)
	}
	if !strings.Contains(n.Error, "; ") || strings.Contains(n.Error, "\n") {
		t.Errorf("want one line that ends with advice: %q", n.Error)
	}
}

// stage is what a hostile case works on.
type stage struct {
	*archive
	b      *enginetest.Bench
	engine *apt.Engine
	old    map[string][]byte // files of an edition before
}

// TestObjectStore mirrors from a store that answers 403 for what is not there.
func TestObjectStore(t *testing.T) {
	lacks := map[string]func(path string) bool{
		"nothing but plain forms": func(string) bool { return false },
		"by-hash":                 func(p string) bool { return strings.Contains(p, "/by-hash/") },
		"one compression":         func(p string) bool { return strings.HasSuffix(p, ".xz") || strings.Contains(p, "/by-hash/") },
		"InRelease":               func(p string) bool { return p == inRelease },
	}
	for name, lacking := range lacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.publish(good)
			s.edit(func(files map[string][]byte) {
				maps.DeleteFunc(files, func(p string, _ []byte) bool { return lacking(p) })
			})
			s.u.alter = func(w http.ResponseWriter, r *http.Request) bool {
				_, there := s.u.files[strings.TrimPrefix(r.URL.Path, "/")]
				if !there {
					w.WriteHeader(http.StatusForbidden)
				}
				return !there
			}
			s.cycleTold(t, map[string]string{"one compression": "Packages.xz"}[name])
		})
	}
}

// TestSameReleaseSignedAnew: the archive adds a key and signs what stands,
// because its clients are to trust the new one from some day on.
func TestSameReleaseSignedAnew(t *testing.T) {
	for _, form := range []string{inRelease, "dists/stable/Release.gpg"} {
		t.Run(filepath.Base(form), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			publish := func() {
				s.publish(good)
				s.edit(func(files map[string][]byte) {
					if form != inRelease {
						delete(files, inRelease)
					}
				})
			}
			publish()
			s.mustCycle(t)
			s.keys = []*openpgp.Entity{s.keys[0], debrepotest.NewKey("next")}
			s.date = s.date.Add(-time.Minute) // publish lets a minute pass
			publish()
			s.mustCycle(t)
			if s.b.Read(form) != string(s.u.files[form]) {
				t.Errorf("%s is still the old one", form)
			}
			if r := s.cycle(); r.Number != 0 || r.Err != nil || len(r.Notes) != 0 {
				t.Errorf("and again: %+v", r)
			}
		})
	}
}

// TestOtherFormOfTheSameRelease: an InRelease that cannot be had for a moment is no reason to serve none.
func TestOtherFormOfTheSameRelease(t *testing.T) {
	s := newStage(t, nil)
	s.publish(good)
	s.mustCycle(t)
	s.edit(func(files map[string][]byte) { delete(files, inRelease) })
	if r := s.cycle(); r.Number != 0 || r.Err != nil || len(r.Notes) != 0 {
		t.Errorf("%+v", r)
	}
}
