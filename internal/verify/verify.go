// Package verify doubts a finished tree as a stranger would, before any region gets it.
//
// It reads files and formats, and shares nothing with the engines that wrote
// them: every file that the generation's manifest adds or changes is there
// with its size, every changed index has its digest and leads by size and
// digest to entries of the manifest, and every signature holds.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Kind checks the changed indexes of one kind of mirror: their signatures, and
// that what they promise is there. nil has the tree checked by its manifest alone.
type Kind func(context.Context, *Checker) error

// The kinds of this room.
var (
	Apt    Kind = func(ctx context.Context, c *Checker) error { return c.apt(ctx) }
	PyPI   Kind = func(ctx context.Context, c *Checker) error { return c.pypi(ctx) }
	Wheels Kind = func(ctx context.Context, c *Checker) error { return c.wheels(ctx) }
	Yum    Kind = func(ctx context.Context, c *Checker) error { return c.yum(ctx) }
)

// Values of Options.Proof under which packages prove themselves.
const (
	ProofPackages = "packages" // whether or not repomd.xml is signed
	ProofBoth     = "both"     // beside the signature of repomd.xml
)

// Options says what to verify.
type Options struct {
	Kind    Kind
	Keyring string           // apt, yum: path of the keys; yum without one proves no signature
	Proof   string           // yum: ProofPackages or ProofBoth; else packages are asked only where repomd.xml is not signed
	Since   *tree.Generation // compare with this one; nil for all of the new one
	Full    bool             // every entry, and no file beside them
	Deep    bool             // hash every object looked at
	// Foreign looks an object of another mirror up in that mirror's newest
	// sealed generation; without it, a reference to one is a problem.
	Foreign func(mirror, path string) (manifest.Entry, bool, error)
	// Progress is called now and then with the entries and bytes so far, from
	// several goroutines.
	Progress func(entries, bytes int64)
	Now      func() time.Time // by which keys are judged; nil is time.Now
}

// maxProblems bounds a report; the first ones tell enough.
const maxProblems = 50

// Report counts what was looked at, and lists what was wrong.
type Report struct {
	Indexes  int64
	Objects  int64
	Hashed   int64 // bytes
	Problems []string
	// Damaged are the entries whose file is missing or has other bytes: as many
	// as a report holds.
	Damaged []manifest.Entry
	// Units are the projects whose own pages are wrong; Others counts what is wrong besides.
	Units  map[string]bool
	Others int64
}

// OK reports whether nothing was wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Holdable are the projects that alone are wrong, in their order: the rest of the
// generation is right without them. There are none if anything else is wrong.
func (r *Report) Holdable() []string {
	if r.Others > 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(r.Units))
}

// of notes a problem of the project that an index belongs to, or of the whole
// generation where it belongs to none.
func (r *Report) of(index string, format string, args ...any) {
	unit, ok := projectOf(index)
	if !ok {
		r.problem(format, args...)
		return
	}
	if r.Units == nil {
		r.Units = map[string]bool{}
	}
	r.Units[unit] = true
	r.add(format, args...)
}

// projectOf is the project whose page an index file is.
func projectOf(index string) (string, bool) {
	rest, ok := strings.CutPrefix(index, "simple/")
	unit, file, deeper := strings.Cut(rest, "/")
	return unit, ok && deeper && !strings.Contains(file, "/")
}

func (r *Report) problem(format string, args ...any) {
	r.Others++
	r.add(format, args...)
}

func (r *Report) add(format string, args ...any) {
	switch n := len(r.Problems); {
	case n < maxProblems:
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	case n == maxProblems:
		r.Problems = append(r.Problems, "…")
	}
}

// Tree verifies generation g of t. The error is of reading; doubts are in the report.
func Tree(ctx context.Context, t *tree.Tree, g *tree.Generation, o Options) (Report, error) {
	c := &checker{t: t, o: o}
	var err error
	if c.m, err = t.ManifestOf(g); err != nil {
		return c.report, err
	}
	if err := c.readMissing(g); err != nil {
		return c.report, err
	}
	since := o.Since
	if o.Full {
		since = nil
	}
	old, err := t.ManifestOf(since)
	if err != nil {
		return c.report, err
	}
	c.old = old
	if err := c.files(ctx, manifest.Diff(old, c.m)); err != nil {
		return c.report, err
	}
	if err := c.formats(ctx); err != nil {
		return c.report, err
	}
	if o.Full {
		return c.report, errors.Join(c.preferred(ctx), c.strangers(ctx))
	}
	return c.report, nil
}

// preferred checks what clients need that hold a newer index than g's: after a
// rollback apt keeps the Release that it has, and goes on asking for what that names.
func (c *checker) preferred(ctx context.Context) error {
	pinned, err := c.t.Pinned()
	if err != nil {
		return err
	}
	for _, g := range pinned {
		m, err := c.t.ManifestOf(g)
		if err != nil {
			return err
		}
		for d, err := range manifest.Diff(m, c.m) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if d.New != nil || d.Old.Kind != manifest.Object {
				continue
			}
			size, there, err := c.t.Stat(d.Old.Path)
			if err != nil && fault.KindOf(err) != fault.Hostile {
				return err
			}
			if !there || size != d.Old.Size {
				c.report.problem("%s is gone: clients that hold the newer index of generation %d ask for it", d.Old.Path, g.Number)
			}
		}
	}
	return nil
}

// Checker is what a Kind checks with.
type Checker = checker

// Indexes are the index files to check: those that changed, or all of them.
func (c *checker) Indexes() []manifest.Entry { return c.indexes }

// Read reads an index of at most limit bytes. One that is not there, or no
// file, is a problem of the report already; ok is false then.
func (c *checker) Read(e manifest.Entry, limit int64) (data []byte, ok bool, err error) {
	return c.read(e, limit)
}

// Problem adds what is wrong to the report.
func (c *checker) Problem(format string, args ...any) { c.report.problem(format, args...) }

// Names notes that an index promises a path with a size in bytes, -1 if it does
// not say, and a SHA-256, "" if it does not say; the manifest has to keep that.
func (c *checker) Names(index, path string, size int64, sha256 string) error {
	return c.names(index, path, size, sha256)
}

type checker struct {
	t       *tree.Tree
	m       *manifest.Manifest
	old     *manifest.Manifest // what it is compared with
	o       Options
	report  Report
	indexes []manifest.Entry     // changed ones, for the format
	missing []*manifest.Manifest // apt, yum: what indexes name and upstream does not have

	promised []promise // by indexes, not yet looked up
}

func (c *checker) formats(ctx context.Context) error {
	if c.o.Kind != nil {
		if err := c.o.Kind(ctx, c); err != nil {
			return err
		}
	}
	return c.kept()
}

// strangers looks for files that neither the manifest, nor the list of retained
// objects, nor a plan that is under way knows.
func (c *checker) strangers(ctx context.Context) error {
	known, err := c.known()
	if err != nil {
		return err
	}
	return filepath.WalkDir(c.t.Dir(), func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		rel, relErr := filepath.Rel(c.t.Dir(), name)
		switch {
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case d.IsDir() && d.Name() == ".mirror":
			return fs.SkipDir
		case d.IsDir() || known[rel] && d.Type().IsRegular():
			return nil
		}
		if _, named, err := c.m.Lookup(rel); err != nil || named {
			return err
		}
		c.report.problem("%s is unknown (%s)", rel, d.Type())
		return nil
	})
}

// known lists the objects that are in the tree without being named: dropped
// ones that are retained, and those that a plan has brought in already.
func (c *checker) known() (map[string]bool, error) {
	known := map[string]bool{}
	retained, err := c.t.Retained()
	if err != nil {
		return nil, err
	}
	for p := range retained {
		known[p] = true
	}
	plans, err := os.ReadDir(filepath.Join(c.t.State(), "plan"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("verify: list plans: %w", err)
	}
	for _, d := range plans {
		p, err := c.t.OpenPlan(d.Name())
		if errors.Is(err, fault.Gone) || errors.Is(err, fault.Corrupt) {
			continue // what it brought is unknown
		}
		if err != nil {
			return nil, err
		}
		for shard := range p.Info.Shards {
			for it, err := range p.Items(shard) {
				if err != nil {
					return nil, err
				}
				known[it.Path] = true
				if it.Metadata {
					known[it.Path+".metadata"] = true
				}
			}
		}
	}
	return known, nil
}

func (c *checker) open(e manifest.Entry) (*os.File, error) { return c.t.OpenFile(e.Path) }

// read reads an index. One that is not there, or no file, is damaged, whether
// or not it was looked at before; ok is false then.
func (c *checker) read(e manifest.Entry, limit int64) (data []byte, ok bool, err error) {
	f, err := c.open(e)
	if errors.Is(err, fs.ErrNotExist) || fault.KindOf(err) == fault.Hostile {
		if !slices.ContainsFunc(c.report.Damaged, func(d manifest.Entry) bool { return d.Path == e.Path }) {
			p := &part{t: c.t}
			if again := p.entry(e); again != nil || len(p.report.Problems) == 0 {
				return nil, false, fmt.Errorf("verify: read %s: %w", e.Path, errors.Join(err, again))
			}
			c.take(p)
		}
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("verify: read %s: %w", e.Path, err)
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, limit)); err != nil {
		return nil, false, fmt.Errorf("verify: read %s: %w", e.Path, err)
	}
	return data, true, nil
}
