package yum

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// world is what the tree holds, and what every repository will name if the plans come true.
type world struct {
	t        *tree.Tree
	was      *manifest.Manifest
	retained map[string]manifest.Entry
	order    []string // repositories: those that stay as they are first
	final    map[string]*manifest.Manifest
	planned  map[string]*repoPlan
	paths    []string // where the planned repositories differ from what they were, sorted
}

func newWorld(t *tree.Tree, base *tree.Generation, old state, plans []*repoPlan) (*world, error) {
	w := &world{t: t, final: map[string]*manifest.Manifest{}, planned: map[string]*repoPlan{}}
	var err error
	if w.was, err = t.ManifestOf(base); err != nil {
		return nil, err
	}
	if w.retained, err = t.Retained(); err != nil {
		return nil, err
	}
	for _, p := range plans {
		w.planned[p.Repo] = p
	}
	for _, dir := range slices.Sorted(maps.Keys(old.Repos)) {
		if w.planned[dir] == nil {
			if err := w.take(dir, old.Repos[dir].Table); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range plans {
		if err := w.take(p.Repo, p.State.Table); err != nil {
			return nil, err
		}
		before, err := openTable(t, old.Repos[p.Repo].Table)
		if err != nil {
			return nil, err
		}
		for d, err := range manifest.Diff(before, w.final[p.Repo]) {
			if err != nil {
				return nil, err
			}
			w.paths = append(w.paths, d.Path())
		}
	}
	slices.Sort(w.paths)
	w.paths = slices.Compact(w.paths)
	return w, nil
}

func (w *world) take(dir, table string) (err error) {
	w.order = append(w.order, dir)
	w.final[dir], err = openTable(w.t, table)
	return err
}

// naming is one repository's word on a path.
type naming struct {
	repo string
	manifest.Entry
}

// named lists what the repositories will name under a path.
func (w *world) named(path string) ([]naming, error) {
	var out []naming
	for _, dir := range w.order {
		e, ok, err := w.final[dir].Lookup(path)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, naming{dir, e})
		}
	}
	return out, nil
}

// held returns what lies at a path, named by the base or retained.
func (w *world) held(path string) (manifest.Entry, bool, error) {
	if e, ok, err := w.was.Lookup(path); ok || err != nil {
		return e, ok, err
	}
	e, ok := w.retained[path]
	return e, ok, nil
}

// item asks for an object with all that the repositories say of it.
func (w *world) item(named []naming) (tree.Item, error) {
	it := tree.Item{Path: named[0].Path, Size: -1}
	for _, n := range named {
		sum, size, err := claimed(n.Entry)
		if err != nil {
			return it, err
		}
		if size >= 0 {
			it.Size = size
		}
		req := proving(source{}.at(n.Path), sum)
		it.SHA256, it.SHA512, it.Checksum = first(it.SHA256, req.SHA256), first(it.SHA512, req.SHA512), first(it.Checksum, req.Checksum)
		if w.planned[n.repo] != nil && it.Unit == "" {
			it.Unit = n.repo
		}
	}
	return it, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// conflicts finds the planned repositories that cannot have what they name,
// because the tree holds other bytes there or another repository names others.
// What spares allows is only lost to its repository.
func (w *world) conflicts(e *Engine) (failed map[string]error, lost map[string][]loss, err error) {
	failed, lost = map[string]error{}, map[string][]loss{}
	for _, path := range w.paths {
		named, err := w.named(path)
		if err != nil {
			return nil, nil, err
		}
		held, holds, err := w.held(path)
		if err != nil {
			return nil, nil, err
		}
		var first *naming // who has the path
		for i, n := range named {
			var conflict error
			switch {
			case failed[n.repo] != nil:
				continue
			case first != nil && !agrees(first.Entry, n.Entry):
				conflict = clash(n.Entry, fmt.Sprintf("repository %s names %s", first.repo, described(first.Entry)))
			case holds && w.planned[n.repo] != nil:
				if conflict, err = w.against(n, held, e.cfg.Replace); err != nil {
					return nil, nil, err
				}
			}
			switch {
			case conflict == nil || w.planned[n.repo] == nil:
				first = &named[i]
			case e.spares(path, fault.KindOf(conflict)):
				lost[n.repo] = append(lost[n.repo], loss{path: path, kind: string(fault.KindOf(conflict)), text: conflict.Error()})
			default:
				failed[n.repo] = conflict
			}
		}
	}
	return failed, lost, nil
}

// agrees reports whether two words on a path can both be true.
func agrees(a, b manifest.Entry) bool {
	if a.Kind.IsIndex() || b.Kind.IsIndex() {
		return a.Kind == b.Kind && a.Size == b.Size && a.Digest == b.Digest
	}
	x, sizeX, errX := claimed(a)
	y, sizeY, errY := claimed(b)
	return errX == nil && errY == nil && (sizeX < 0 || sizeY < 0 || sizeX == sizeY) && (x.Type != y.Type || x.Hex == y.Hex)
}

// against holds what a repository names against what lies there.
func (w *world) against(n naming, held manifest.Entry, replace bool) (conflict, err error) {
	if held.Kind.IsIndex() != n.Kind.IsIndex() {
		return hostile(n.Path, "an index and a package would share the path"), nil
	}
	if n.Kind.IsIndex() || replace {
		return nil, nil
	}
	same, err := w.isHeld(n.Entry, held)
	if err != nil || same {
		return nil, err
	}
	return clash(n.Entry, fmt.Sprintf("the tree holds %s (%d bytes)", held.Digest, held.Size)), nil
}

// isHeld reports whether the held object is what e names. What only has
// another checksum than ours is read.
func (w *world) isHeld(e, held manifest.Entry) (bool, error) {
	sum, size, err := claimed(e)
	if err != nil || size >= 0 && size != held.Size {
		return false, err
	}
	if sum.Type == "sha256" {
		return sum.Hex == held.Digest.String(), nil
	}
	return fileHas(w.t, e.Path, sum)
}

// fileHas reports whether a file of the tree has a checksum. One that is not there is to be fetched, so it has.
func fileHas(t *tree.Tree, path string, sum rpmrepo.Checksum) (bool, error) {
	_, there, err := t.Stat(path)
	if err != nil || !there {
		return !there, err
	}
	f, err := t.OpenFile(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sum.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, fmt.Errorf("yum: read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)) == sum.Hex, nil
}

func described(e manifest.Entry) string {
	sum, _, err := claimed(e)
	if err != nil {
		return err.Error()
	}
	return sum.String()
}

func clash(e manifest.Entry, other string) error {
	return &fault.Error{Kind: fault.Conflict, Op: "yum: plan object", Subject: e.Path,
		Err:    fmt.Errorf("upstream names %s (%d bytes), %s", described(e), e.Size, other),
		Advice: `the repository keeps its generation; if upstream's new file is the right one, set on-conflict = "replace"`}
}

// agree leaves out repositories, or what they may do without, until the others
// can all be had, and notes why. What is to replace other bytes is fetched here,
// into the state.
func (e *Engine) agree(ctx context.Context, t *tree.Tree, base *tree.Generation, old state, plans []*repoPlan) (*world, []*repoPlan, []tree.Note, error) {
	var notes []tree.Note
	for {
		w, err := newWorld(t, base, old, plans)
		if err != nil {
			return nil, nil, notes, err
		}
		failed, lost, err := w.conflicts(e)
		if err == nil && len(failed)+len(lost) == 0 && e.cfg.Replace {
			failed, lost, err = e.replacements(ctx, w, plans)
		}
		if err != nil || len(failed)+len(lost) == 0 {
			return w, plans, notes, err
		}
		for _, dir := range slices.Sorted(maps.Keys(failed)) {
			notes = append(notes, note(dir, failed[dir]))
		}
		plans = slices.DeleteFunc(slices.Clone(plans), func(p *repoPlan) bool { return failed[p.Repo] != nil })
		var more []tree.Note
		plans, more, err = e.spare(t, plans, lost, old)
		if notes = append(notes, more...); err != nil {
			return nil, nil, notes, err
		}
	}
}

// replacements keeps the content of every object that is to replace other bytes.
func (e *Engine) replacements(ctx context.Context, w *world, plans []*repoPlan) (failed map[string]error, lost map[string][]loss, err error) {
	failed, lost = map[string]error{}, map[string][]loss{}
	for _, p := range plans {
		p.Replaced = nil
	}
	for _, path := range w.paths {
		held, holds, err := w.held(path)
		if err != nil {
			return nil, nil, err
		}
		named, err := w.named(path)
		if err != nil {
			return nil, nil, err
		}
		if !holds || len(named) == 0 || named[0].Kind.IsIndex() || w.planned[named[0].repo] == nil {
			continue
		}
		same, err := w.isHeld(named[0].Entry, held)
		if err != nil {
			return nil, nil, err
		}
		if same {
			continue
		}
		p := w.planned[named[0].repo]
		got, err := e.keepObject(ctx, w, named, p)
		if stop := stops(ctx, err); stop != nil {
			return nil, nil, stop
		}
		switch {
		case err != nil && e.spares(path, fault.KindOf(err)):
			for _, n := range named {
				lost[n.repo] = append(lost[n.repo], loss{path: path, kind: string(fault.KindOf(err)), text: err.Error()})
			}
			continue
		case err != nil:
			failed[p.Repo] = err
			continue
		}
		p.Replaced = append(p.Replaced, got)
	}
	return failed, lost, nil
}

// keepObject brings the content of an object into the state.
func (e *Engine) keepObject(ctx context.Context, w *world, named []naming, p *repoPlan) (manifest.Entry, error) {
	it, err := w.item(named)
	if err != nil {
		return manifest.Entry{}, err
	}
	out := manifest.Entry{Path: it.Path, Kind: manifest.Object, Size: it.Size}
	if d, err := manifest.ParseDigest(it.SHA256); err == nil && w.t.HasIndex(d, it.Size) {
		out.Digest = d
		return out, nil
	}
	src := source{upstreams: e.cfg.Upstreams}
	if len(p.State.Servers) > 0 {
		src = repo{dir: p.Repo}.source(p.State.Servers)
	}
	req := src.at(it.Path)
	req.SHA256, req.SHA512, req.Checksum, req.Size, req.Max = it.SHA256, it.SHA512, it.Checksum, it.Size, maxDataFile
	got, err := e.keepContent(ctx, w.t, req)
	out.Size, out.Digest = got.Size, got.Digest
	return out, err
}

var errLost = errors.New("nothing tells its SHA-256")
