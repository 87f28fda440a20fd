package wheels_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
)

var (
	debian12 = wheel.Platform{Python: "3.11", Machine: "x86_64", Libc: "glibc", Version: "2.36"}
	debian13 = wheel.Platform{Python: "3.13", Machine: "x86_64", Libc: "glibc", Version: "2.41"}
)

// bench is a wheels mirror with its index mirror, which is made of the test's own files.
type bench struct {
	*enginetest.Bench
	tb     testing.TB
	index  tree.Config
	store  wheels.Store
	wanted map[string][]wheels.Pin
	files  map[string]map[string]string // project to file names to contents
	status map[string]simpleindex.Status
	now    time.Time
	engine *wheels.Engine
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{Bench: enginetest.New(tb, "wheels"), tb: tb, wanted: map[string][]wheels.Pin{}, files: map[string]map[string]string{},
		status: map[string]simpleindex.Status{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	dir := tb.TempDir()
	b.index = tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
	if _, err := tree.Setup(b.index, "pypi"); err != nil {
		tb.Fatal(err)
	}
	b.store = wheels.Store{State: filepath.Join(b.Dir, "state"), Now: func() time.Time { return b.now }}
	for name, facts := range map[string]wheel.Platform{"d12": debian12, "d13": debian13} {
		if err := b.store.SetFacts(name, facts); err != nil {
			tb.Fatal(err)
		}
	}
	b.engine = wheels.New(wheels.Config{Index: "pypi", Tree: b.index, Platforms: platformNames, Store: b.store,
		Wanted: func() (map[string][]wheels.Pin, error) { return b.wanted, nil }})
	b.Verify = verify.Options{Kind: verify.Wheels, Foreign: func(mirror, p string) (manifest.Entry, bool, error) {
		if mirror != "pypi" {
			tb.Fatalf("a page names a file of %s", mirror)
		}
		_, x := b.open()
		return x.Lookup(p)
	}}
	return b
}

var platformNames = []string{"d12", "d13"}

func (b *bench) open() (*tree.Tree, *wheels.Index) {
	b.tb.Helper()
	t, err := tree.Read(b.index)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { t.Close() })
	x, err := wheels.OpenIndex(t)
	if err != nil {
		b.tb.Fatal(err)
	}
	return t, x
}

// publish commits and seals the files of the index mirror.
func (b *bench) publish() {
	b.tb.Helper()
	t, err := tree.Open(b.index)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer t.Close()
	entries := map[string]manifest.Entry{}
	for name, files := range b.files {
		p := &simpleindex.Project{Name: name, Status: b.status[name]}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			f := simpleindex.File{Filename: file, SHA256: sum(files[file]), Size: int64(len(files[file]))}
			p.Files = append(p.Files, f)
			e := manifest.Entry{Path: simpleindex.ObjectPath("", f.SHA256, file), Kind: manifest.Object, Size: f.Size, Digest: sha256.Sum256([]byte(files[file]))}
			entries[e.Path] = e
			b.land(t, e.Path, files[file])
		}
		page := p.RenderJSON(simpleindex.RenderOptions{})
		d, err := t.PutIndex(page)
		if err != nil {
			b.tb.Fatal(err)
		}
		at := simpleindex.ProjectPath(name) + "/" + simpleindex.V1JSONName
		entries[at] = manifest.Entry{Path: at, Kind: manifest.Index2, Size: int64(len(page)), Digest: d}
	}
	m, err := manifest.Write(t, byPath(entries))
	if err != nil {
		b.tb.Fatal(err)
	}
	g, err := t.Commit(context.Background(), tree.CommitRequest{Manifest: m})
	if err == nil {
		err = t.Seal(g.Number)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) land(t *tree.Tree, path, content string) {
	b.tb.Helper()
	f, err := t.Create()
	if err == nil {
		_, err = f.WriteString(content)
	}
	if err == nil {
		err = f.Land(path)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
}

func byPath(m map[string]manifest.Entry) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, p := range slices.Sorted(maps.Keys(m)) {
			if !yield(m[p], nil) {
				return
			}
		}
	}
}

func sum(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

// add lets the index mirror have a file.
func (b *bench) add(project string, names ...string) {
	if b.files[project] == nil {
		b.files[project] = map[string]string{}
	}
	for _, n := range names {
		b.files[project][n] = "content of " + n
	}
}

func (b *bench) platforms() []wheels.Platform {
	b.tb.Helper()
	ps, err := b.store.Platforms(platformNames, func() (map[string][]wheels.Pin, error) { return b.wanted, nil })
	if err != nil {
		b.tb.Fatal(err)
	}
	return ps
}

// survey returns the states of a platform as "name version: state".
func (b *bench) survey(platform string, alone bool) []wheels.Row {
	b.tb.Helper()
	_, x := b.open()
	rows, err := b.store.Survey(x, b.platforms(), platform, alone)
	if err != nil {
		b.tb.Fatal(err)
	}
	return rows
}

func states(rows []wheels.Row) string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %s", r.Pin, r.State))
	}
	return strings.Join(out, ", ")
}

// build builds everything that is due on a platform: make returns the name and
// the content of the wheel, or a class of failure.
func (b *bench) build(platform string, make func(wheels.Job) (file, content, class string)) (built int) {
	b.tb.Helper()
	_, x := b.open()
	for _, job := range wheels.Jobs(b.survey(platform, false)) {
		built++
		if _, err := b.store.Ingest(platform, b.platforms(), x.Page, job, b.deliver(platform, job, make)); err != nil {
			b.tb.Fatal(err)
		}
	}
	return built
}

func (b *bench) deliver(platform string, job wheels.Job, make func(wheels.Job) (file, content, class string)) wheels.Delivery {
	b.tb.Helper()
	if err := b.store.Ready(platform, time.Hour); err != nil {
		b.tb.Fatal(err)
	}
	d := wheels.Delivery{Attempt: fmt.Sprintf("%s-%s-%d", job.Name, strings.ReplaceAll(job.Version, ".", "-"), b.now.Unix()), Log: "build.log"}
	dir := b.store.Inbox(platform, d.Attempt)
	var content string
	d.File, content, d.Class = make(job)
	d.Message, d.Static = d.Class, true
	d.SHA256 = sum(content)
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "build.log"), []byte("log of "+job.File+" on "+platform+"\n"), 0o644)
	}
	if err == nil && d.Class == "" {
		err = os.WriteFile(filepath.Join(dir, d.File), []byte(content), 0o644)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	return d
}

// pure builds a wheel for every platform, compiled one for a python.
func pure(j wheels.Job) (string, string, string) {
	return wheelOf(j.Name, j.Version, "py3-none-any")
}

func compiled(tags string) func(wheels.Job) (string, string, string) {
	return func(j wheels.Job) (string, string, string) { return wheelOf(j.Name, j.Version, tags) }
}

// with builds a wheel for every platform, by its name, that holds one file more.
func with(name, content string) func(wheels.Job) (string, string, string) {
	return func(j wheels.Job) (string, string, string) {
		file, data := enginetest.Wheel(j.Name, j.Version, "py3-none-any", name, content)
		return file, string(data), ""
	}
}

func broken(wheels.Job) (string, string, string) { return "", "", "compile" }

func wheelOf(name, version, tags string) (file, content, class string) {
	file, data := enginetest.Wheel(name, version, tags)
	return file, string(data), ""
}
