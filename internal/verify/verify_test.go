package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
)

// content is a generation, path to bytes.
type content map[string][]byte

// kindOf tells indexes from objects as the engines do.
func kindOf(p string) manifest.Kind {
	switch {
	case strings.HasPrefix(p, "pool/"), strings.HasPrefix(p, "packages/"), strings.Contains(p, "/by-hash/"):
		return manifest.Object
	case strings.HasSuffix(p, "InRelease"):
		return manifest.Pointer
	}
	return manifest.Index2
}

// house is a tree with one way to make generations in it.
type house struct {
	t    *testing.T
	tree *tree.Tree
	gen  *tree.Generation
	opts verify.Options
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
	if _, err := tree.Setup(cfg, "mirror"); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return &house{t: t, tree: tr}
}

// commit makes c the next generation; the manifest may lie about it.
func (h *house) commit(c content, lie func(*manifest.Entry) bool) {
	h.t.Helper()
	var entries []manifest.Entry
	for _, p := range slices.Sorted(maps.Keys(c)) {
		e := manifest.Entry{Path: p, Kind: kindOf(p), Size: int64(len(c[p])), Digest: sha256.Sum256(c[p])}
		if err := h.put(e, c[p]); err != nil {
			h.t.Fatal(err)
		}
		if lie == nil || lie(&e) {
			entries = append(entries, e)
		}
	}
	m, err := manifest.Write(h.tree, func(yield func(manifest.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err == nil {
		h.gen, err = h.tree.Commit(context.Background(), tree.CommitRequest{Manifest: m})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) put(e manifest.Entry, data []byte) error {
	if e.Kind.IsIndex() {
		_, err := h.tree.PutIndex(data)
		return err
	}
	f, err := h.tree.Create()
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Land(e.Path)
}

func (h *house) path(p string) string { return filepath.Join(h.tree.Dir(), p) }

func (h *house) write(p, data string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(p), []byte(data), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) verify() verify.Report {
	h.t.Helper()
	// Another process looks, which holds no directory open.
	other, err := tree.Read(tree.Config{Dir: h.tree.Dir(), State: h.tree.State()})
	if err != nil {
		h.t.Fatal(err)
	}
	defer other.Close()
	report, err := verify.Tree(context.Background(), other, h.gen, h.opts)
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

// debian is a signed archive and its keyring.
func debian(t *testing.T, keys ...*openpgp.Entity) (content, string) {
	t.Helper()
	key := debrepotest.NewKey("archive")
	if len(keys) == 0 {
		keys = []*openpgp.Entity{key}
	}
	repo := &debrepotest.Repo{Keys: keys, Suites: []debrepotest.Suite{{Name: "stable", Release: debrepo.Release{AcquireByHash: true},
		Packages: []debrepotest.Package{{Deb: debrepotest.Deb{Name: "a", Version: "1"}}, {Deb: debrepotest.Deb{Name: "b", Version: "1"}}}}}}
	files, err := repo.Files()
	if err != nil {
		t.Fatal(err)
	}
	keyring := filepath.Join(t.TempDir(), "keyring.gpg")
	if err := os.WriteFile(keyring, debrepotest.PublicKeys(key), 0o644); err != nil {
		t.Fatal(err)
	}
	return files, keyring
}

// index is a package index of one project with a wheel and its metadata.
func index() content {
	wheel, meta := []byte("wheel"), []byte("Name: alpha\n")
	digest := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	f := simpleindex.File{Filename: "alpha-1-py3-none-any.whl", URL: "http://mirror.example.org/x", SHA256: digest(wheel), Size: int64(len(wheel)),
		CoreMetadata: simpleindex.CoreMetadata{Available: true, SHA256: digest(meta)}}
	p := simpleindex.Project{Name: "alpha", Status: simpleindex.Active, Files: []simpleindex.File{f}}
	object := simpleindex.ObjectPath(f.URL, f.SHA256, f.Filename)
	html := p.RenderHTML(simpleindex.RenderOptions{})
	c := content{object: wheel, object + ".metadata": meta, "simple/alpha/index.html": html, "simple/alpha/index.v1_html": html,
		"simple/alpha/index.v1_json": p.RenderJSON(simpleindex.RenderOptions{})}
	list := func(yield func(simpleindex.RootProject) bool) {
		yield(simpleindex.RootProject{Name: "Alpha", LastSerial: 1})
	}
	var root, rootJSON bytes.Buffer
	_ = simpleindex.RenderRootHTML(&root, 1, list)
	_ = simpleindex.RenderRootJSON(&rootJSON, 1, list)
	c["simple/index.html"], c["simple/index.v1_html"], c["simple/index.v1_json"] = root.Bytes(), root.Bytes(), rootJSON.Bytes()
	return c
}

// except leaves paths that contain part out of the manifest.
func except(part string) func(*manifest.Entry) bool {
	return func(e *manifest.Entry) bool { return !strings.Contains(e.Path, part) }
}

func replaced(path, old, new string) func(content) {
	return func(c content) { c[path] = []byte(strings.Replace(string(c[path]), old, new, 1)) }
}

const (
	debA     = "pool/main/a/a/a_1_all.deb"
	packages = "dists/stable/main/binary-amd64/Packages.xz"
	page     = "simple/alpha/index.v1_json"
)

func TestSpoiledTree(t *testing.T) {
	tests := []struct {
		name   string
		kind   string
		change func(content)              // before it is committed
		lie    func(*manifest.Entry) bool // of the manifest
		spoil  func(*house)               // after
		want   string                     // in the one problem, "" for none
	}{
		{name: "good", kind: "apt"},
		{name: "object missing", kind: "apt", spoil: func(h *house) { _ = os.Remove(h.path(debA)) }, want: debA + " is missing"},
		{name: "object of another size", kind: "apt", spoil: func(h *house) { h.write(debA, "short") }, want: debA + " has 5 bytes"},
		{name: "object with other bytes", kind: "apt", spoil: func(h *house) {
			data, _ := os.ReadFile(h.path(debA))
			data[9] ^= 1
			h.write(debA, string(data))
		}, want: debA + " has SHA-256"},
		{name: "object is a link", kind: "apt", spoil: func(h *house) {
			_ = os.Rename(h.path(debA), h.path(".mirror/moved"))
			_ = os.Symlink("../../../../.mirror/moved", h.path(debA))
		}, want: debA + ": hostile"},
		{name: "directory is a link", kind: "apt", spoil: func(h *house) {
			_ = os.Rename(h.path("pool/main/a"), h.path(".mirror/moved"))
			_ = os.Symlink("../../.mirror/moved", h.path("pool/main/a"))
		}, want: "pool/main/a: hostile"},
		{name: "index missing", kind: "apt", spoil: func(h *house) { _ = os.Remove(h.path("dists/stable/Release")) }, want: "dists/stable/Release is missing"},
		{name: "signature missing", kind: "apt", spoil: func(h *house) { _ = os.Remove(h.path("dists/stable/Release.gpg")) }, want: "dists/stable/Release.gpg is missing"},
		{name: "HTML missing", kind: "pypi", spoil: func(h *house) { _ = os.Remove(h.path("simple/alpha/index.html")) }, want: "simple/alpha/index.html is missing"},
		{name: "HTML of another size", kind: "pypi", spoil: func(h *house) { h.write("simple/alpha/index.html", "x") }, want: "simple/alpha/index.html has 1 bytes"},
		{name: "stranger", kind: "apt", spoil: func(h *house) { h.write("pool/stranger", "x") }, want: "pool/stranger is unknown"},
		{name: "stranger whose name begins like ours", kind: "apt", spoil: func(h *house) { h.write(".mirrored", "x") }, want: ".mirrored is unknown"},
		{name: "link nobody knows", kind: "apt", spoil: func(h *house) { _ = os.Symlink("/etc", h.path("pool/etc")) }, want: "pool/etc is unknown (L"},
		{name: "index names an absent package", kind: "apt", lie: except(debA), spoil: func(h *house) { _ = os.Remove(h.path(debA)) },
			want: "names " + debA + ", which the generation lacks"},
		{name: "index with other bytes than signed", kind: "apt", change: func(c content) { c[packages], _ = debrepotest.Compress("xz", nil) },
			want: "dists/stable/InRelease names " + packages},
		{name: "signature does not hold", kind: "apt", change: replaced("dists/stable/InRelease", "Suite: stable", "Suite: steble"), want: "dists/stable/InRelease"},
		{name: "Release and Release.gpg disagree", kind: "apt", change: replaced("dists/stable/Release", "Suite: stable", "Suite: steble"), want: "Release.gpg"},
		{name: "Release without signature", kind: "apt", change: func(c content) { delete(c, "dists/stable/Release.gpg") }, want: "has no signature"},

		{name: "good index", kind: "pypi"},
		{name: "wheel absent", kind: "pypi", lie: func(e *manifest.Entry) bool { return !strings.HasSuffix(e.Path, ".whl") },
			spoil: func(h *house) { removeObject(h, ".whl") }, want: ".whl, which the generation lacks"},
		{name: "metadata absent", kind: "pypi", lie: except(".metadata"), spoil: func(h *house) { removeObject(h, ".metadata") },
			want: ".metadata, which the generation lacks"},
		{name: "metadata with another digest", kind: "pypi", change: func(c content) {
			for p := range c {
				if strings.HasSuffix(p, ".metadata") {
					c[p] = []byte("Name: gamma\n")
				}
			}
		}, want: "with SHA-256"},
		{name: "page with another size", kind: "pypi", change: replaced(page, `"size":5`, `"size":6`), want: "with 6 bytes"},
		{name: "page is no JSON", kind: "pypi", change: func(c content) { c[page] = []byte("<html>") }, want: page},
		{name: "file elsewhere", kind: "pypi", change: replaced(page, "../../packages", "https://files.example.org/packages"), want: "which is not on the mirror"},
		{name: "HTML lacks a file", kind: "pypi", change: func(c content) {
			c["simple/alpha/index.html"] = []byte("<html></html>")
			c["simple/alpha/index.v1_html"] = c["simple/alpha/index.html"]
		}, want: "simple/alpha/index.html lacks alpha-1"},
		{name: "two forms of HTML disagree", kind: "pypi", change: func(c content) { c["simple/alpha/index.v1_html"] = []byte("x") },
			want: "simple/alpha/index.v1_html is not"},
		{name: "no HTML", kind: "pypi", change: func(c content) { delete(c, "simple/alpha/index.html") }, want: "has no index.html beside it"},
		{name: "root names a project without a page", kind: "pypi", change: func(c content) {
			replaced("simple/index.v1_json", "Alpha", "beta")(c)
			replaced("simple/index.html", "alpha/", "beta/")(c)
			c["simple/index.v1_html"] = c["simple/index.html"]
		}, want: "names simple/beta/index.v1_json"},
		{name: "root page lacks a project", kind: "pypi", change: func(c content) {
			c["simple/index.html"], c["simple/index.v1_html"] = nil, nil
		}, want: "simple/index.html lacks alpha"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.opts = verify.Options{Kind: map[string]verify.Kind{"apt": verify.Apt, "pypi": verify.PyPI}[c.kind], Full: true, Deep: true}
			files := index()
			if c.kind == "apt" {
				files, h.opts.Keyring = debian(t)
			}
			if c.change != nil {
				c.change(files)
			}
			h.commit(files, c.lie)
			if c.spoil != nil {
				c.spoil(h)
			}
			report := h.verify()
			if c.want == "" {
				if !report.OK() || report.Objects == 0 || report.Indexes == 0 || report.Hashed == 0 {
					t.Errorf("%+v", report)
				}
				return
			}
			if report.OK() || !strings.Contains(strings.Join(report.Problems, "\n"), c.want) {
				t.Errorf("want %q in %q", c.want, report.Problems)
			}
		})
	}
}

func removeObject(h *house, suffix string) {
	_ = filepath.WalkDir(h.path("packages"), func(name string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(name, suffix) {
			_ = os.Remove(name)
		}
		return nil
	})
}

func TestForeignKey(t *testing.T) {
	h := newHouse(t)
	files, keyring := debian(t, debrepotest.NewKey("other"))
	h.opts = verify.Options{Kind: verify.Apt, Keyring: keyring}
	h.commit(files, nil)
	if r := h.verify(); r.OK() {
		t.Error("a signature by a key that is not in the keyring held")
	}
}

// TestOnlyWhatChanged looks at the difference, and sees what an index promises of the rest.
func TestOnlyWhatChanged(t *testing.T) {
	h := newHouse(t)
	files, keyring := debian(t)
	h.commit(files, nil)
	first := h.gen
	h.opts = verify.Options{Kind: verify.Apt, Keyring: keyring, Since: first}
	files["pool/main/c"] = []byte("c")
	h.commit(files, nil)
	_ = os.Remove(h.path(debA)) // is not looked at
	if r := h.verify(); !r.OK() || r.Objects != 1 || r.Indexes != 0 {
		t.Errorf("%+v", r)
	}
	h.opts.Full = true
	if r := h.verify(); r.OK() {
		t.Error("--full did not see it")
	}
}

// TestLostBesideWhatChanged: an index that did not change is read with one that
// did. If it is lost, that is damage to be mended, and nothing that stops a check.
func TestLostBesideWhatChanged(t *testing.T) {
	h := newHouse(t)
	files := index()
	h.commit(files, nil)
	h.opts = verify.Options{Kind: verify.PyPI, Since: h.gen}
	files[page] = append(files[page], ' ')
	h.commit(files, nil)
	_ = os.Remove(h.path("simple/alpha/index.html"))
	r := h.verify()
	if len(r.Problems) != 1 || len(r.Damaged) != 1 || r.Damaged[0].Path != "simple/alpha/index.html" {
		t.Errorf("%+v", r)
	}
}

func TestRemovedIndexIsGone(t *testing.T) {
	h := newHouse(t)
	h.commit(content{"dists/a": []byte("a"), "dists/b": []byte("b")}, nil)
	h.opts.Since = h.gen
	h.commit(content{"dists/b": []byte("b")}, nil)
	if r := h.verify(); !r.OK() {
		t.Errorf("%+v", r)
	}
	h.write("dists/a", "a")
	if r := h.verify(); r.OK() {
		t.Error("an index that is no longer named is served, unseen")
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	h := newHouse(t)
	c := content{}
	for i := range 200 {
		c[fmt.Sprintf("pool/%03d", i)] = []byte("x")
	}
	h.commit(c, nil)
	if err := os.RemoveAll(h.path("pool")); err != nil {
		t.Fatal(err)
	}
	if r := h.verify(); len(r.Problems) != 51 || r.Problems[50] != "…" {
		t.Errorf("%d problems", len(r.Problems))
	}
}

// TestPlanUnderWay leaves what a plan has brought in, and nobody names yet.
func TestPlanUnderWay(t *testing.T) {
	h := newHouse(t)
	h.commit(content{"pool/a": []byte("a")}, nil)
	w, err := h.tree.NewPlan(h.gen)
	if err != nil {
		t.Fatal(err)
	}
	w.Info().Changed = true
	if err := w.Fetch(tree.Item{Path: "pool/b.whl", SHA256: strings.Repeat("0", 64), Metadata: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	h.write("pool/b.whl", "b")
	h.write("pool/b.whl.metadata", "b")
	h.opts.Full = true
	if r := h.verify(); !r.OK() {
		t.Errorf("%+v", r)
	}
}

// TestRuinedPlan: a run that was fenced while it wrote its results leaves the
// directory of a plan without the plan; the next tending removes it.
func TestRuinedPlan(t *testing.T) {
	for name, ruin := range map[string]func(dir string) error{
		"empty":   func(string) error { return nil },
		"cut off": func(dir string) error { return os.WriteFile(filepath.Join(dir, "plan.json"), []byte("{"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.commit(content{"pool/a": []byte("a")}, nil)
			dir := filepath.Join(h.tree.State(), "plan", strings.Repeat("0", 64))
			if err := errors.Join(os.MkdirAll(dir, 0o755), ruin(dir)); err != nil {
				t.Fatal(err)
			}
			h.opts.Full = true
			if r := h.verify(); !r.OK() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestScrub hashes every file within 30 days, and writes nothing when nothing is due.
func TestScrub(t *testing.T) {
	h := newHouse(t)
	c, total := content{}, int64(0)
	for i := range 500 {
		c[fmt.Sprintf("pool/%03d", i)] = []byte("content")
		total += 7
	}
	h.commit(c, nil)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	scrub := func() verify.Report {
		t.Helper()
		r, err := verify.Scrub(context.Background(), h.tree, h.gen, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := scrub(); r.Hashed != 0 {
		t.Errorf("the first call only begins: %+v", r)
	}
	h.write("pool/123", "CONTENT")
	memo := filepath.Join(h.tree.State(), "memo", "scrub")
	before, err := os.Stat(memo)
	if err != nil {
		t.Fatal(err)
	}
	if r := scrub(); r.Hashed != 0 {
		t.Errorf("nothing is due: %+v", r)
	}
	if after, err := os.Stat(memo); err != nil || !os.SameFile(before, after) {
		t.Errorf("nothing is due, yet the memo was written (%v)", err)
	}
	var hashed int64
	var problems []string
	for range 30 * 24 / 5 {
		now = now.Add(5 * time.Hour)
		r := scrub()
		hashed += r.Hashed
		problems = append(problems, r.Problems...)
		if len(r.Problems) > 0 {
			if again := scrub(); len(again.Problems) != 1 || again.Hashed != 7 {
				t.Errorf("a damaged file must be looked at until it is whole: %+v", again)
			}
			h.write("pool/123", "content")
			if again := scrub(); len(again.Problems) != 0 || again.Hashed != 7 {
				t.Errorf("the file is whole again: %+v", again)
			}
		}
		if r.Hashed > total/20 {
			t.Errorf("one call hashed %d of %d bytes", r.Hashed, total)
		}
	}
	if hashed != total || len(problems) != 1 || !strings.Contains(problems[0], "pool/123 has SHA-256") {
		t.Errorf("hashed %d of %d bytes in 30 days, problems %q", hashed, total, problems)
	}
	now = now.Add(90 * 24 * time.Hour)
	if r := scrub(); r.Hashed != total {
		t.Errorf("after a long pause all is due: %d of %d bytes", r.Hashed, total)
	}
}
