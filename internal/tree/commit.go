package tree

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/manifest"
)

// CommitRequest describes the next generation. Its objects have landed and the
// contents of its indexes are kept (PutIndex) before Commit is called.
type CommitRequest struct {
	Above    int64 // the number will be above this and above the tree's own
	Manifest *manifest.Manifest
	Aux      map[string]manifest.ID
	Engine   json.RawMessage
	Upstream Upstream
	Plan     string
}

const intentPrefix = "intent."

// intent is a commit under way. Both manifests are in the state, so what
// remains to be done is their difference.
type intent struct {
	Generation   Generation `json:"generation"`
	BaseManifest string     `json:"base_manifest"`
}

// Commit makes req the tree's next generation. Once the intent is durable the
// commit will happen, if need be by whoever opens the tree next; until then
// nothing that clients see has changed.
func (t *Tree) Commit(ctx context.Context, req CommitRequest) (*Generation, error) {
	base, err := t.Committed()
	if err != nil {
		return nil, err
	}
	in, err := t.prepare(base, req)
	if err != nil {
		return nil, err
	}
	t.cfg.Crash("commit/prepared")
	if err := t.Sync(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if err := t.writeState(data, intentPrefix+strconv.FormatInt(in.Generation.Number, 10)); err != nil {
		return nil, err
	}
	t.cfg.Crash("commit/intent")
	return &in.Generation, t.apply(in)
}

func (t *Tree) prepare(base *Generation, req CommitRequest) (intent, error) {
	old, err := t.ManifestOf(base)
	if err != nil {
		return intent{}, err
	}
	g := Generation{Plan: req.Plan, Engine: req.Engine, Totals: req.Manifest.Totals(), Aux: map[string]string{}}
	g.Served = Served{Tree: t.id.Tree, Mirror: t.id.Mirror, Number: req.Above + 1, Manifest: req.Manifest.ID().String(),
		Time: t.cfg.Now().UTC(), Upstream: req.Upstream}
	if base != nil {
		g.Base = base.Number
		g.Number = max(g.Number, base.Number+1)
	}
	for name, id := range req.Aux {
		if id != (manifest.ID{}) {
			g.Aux[name] = id.String()
		}
	}
	g.Changes, err = t.changes(old, req.Manifest)
	return intent{Generation: g, BaseManifest: old.ID().String()}, err
}

// rollForward finishes the commit that an earlier epoch began.
func (t *Tree) rollForward() error {
	open, err := Numbered(t.cfg.State, intentPrefix)
	if err != nil {
		return fmt.Errorf("tree: look for intents: %w", err)
	}
	slices.Sort(open)
	for _, n := range open {
		in, err := t.intent(n)
		if err == nil {
			err = t.apply(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apply carries an intent out. It may run any number of times: each step
// leads to the same state whether or not it was done before.
func (t *Tree) apply(in intent) error {
	n := strconv.FormatInt(in.Generation.Number, 10)
	served, err := ReadServed(t.cfg.Dir)
	if err == nil && served.Number >= in.Generation.Number {
		return t.dropState(intentPrefix + n)
	}
	if err := t.awaitThaw(); err != nil {
		return err
	}
	indexes, gone, touched, err := t.difference(in)
	if err != nil {
		return err
	}
	slices.SortStableFunc(indexes, func(a, b manifest.Entry) int { return cmp.Compare(a.Kind, b.Kind) })
	for _, e := range indexes {
		if err := t.LandIndex(e.Digest, e.Path); err != nil {
			return err
		}
	}
	for _, p := range gone {
		if err := t.discard(p); err != nil {
			return err
		}
	}
	return t.publish(in.Generation, touched)
}

// publish records the generation and lets generation.json name it: first in the
// parts that it changed, last of all in the tree.
func (t *Tree) publish(g Generation, touched map[string]bool) error {
	n := strconv.FormatInt(g.Number, 10)
	record, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := t.writeState(append(record, '\n'), "gen", n); err != nil {
		return err
	}
	served, err := json.Marshal(g.Served)
	if err != nil {
		return err
	}
	if err := t.Sync(); err != nil {
		return err
	}
	for _, part := range t.cfg.Parts {
		if touched[part] {
			if err := t.writeServed(part, append(served, '\n')); err != nil {
				return err
			}
		}
	}
	if err := t.writeServed("", append(served, '\n')); err != nil {
		return err
	}
	return t.dropState(intentPrefix + n)
}

// difference lists the index files to place, those to remove, and the parts in
// which anything changes, and records the dropped objects.
func (t *Tree) difference(in intent) (place []manifest.Entry, gone []string, touched map[string]bool, err error) {
	oldID, err := manifest.ParseDigest(in.BaseManifest)
	if err != nil {
		return nil, nil, nil, err
	}
	old, err := t.Manifest(oldID)
	if err != nil {
		return nil, nil, nil, err
	}
	next, err := t.ManifestOf(&in.Generation)
	if err != nil {
		return nil, nil, nil, err
	}
	drops, err := t.newDrops()
	if err != nil {
		return nil, nil, nil, err
	}
	defer drops.abandon()
	touched = map[string]bool{}
	for d, err := range manifest.Diff(old, next) {
		if err == nil {
			touched[t.partOf(d.Path())] = true
		}
		switch {
		case err != nil:
			return nil, nil, nil, err
		case d.New == nil && d.Old.Kind.IsIndex():
			gone = append(gone, d.Old.Path)
		case d.New == nil:
			drops.add(*d.Old)
		case d.New.Kind.IsIndex():
			place = append(place, *d.New)
		}
	}
	if err := t.dropPinned(drops, in.Generation.Number, old, next); err != nil {
		return nil, nil, nil, err
	}
	return place, gone, touched, drops.keep(in.Generation.Number)
}

// writeServed lets the generation.json of a part say what it holds.
func (t *Tree) writeServed(part string, data []byte) error {
	f, err := t.CreateFor(path.Join(part, ServedPath))
	if err != nil {
		return err
	}
	_, err = f.File.Write(data)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = t.finish(f.File)
	}
	if err != nil {
		return t.explain("tree: write", ServedPath, err)
	}
	t.cfg.Crash("served")
	name := filepath.Join(t.cfg.Dir, part, ServedPath)
	return t.explain("tree: write", name, durable.Move(f.Name(), name))
}

// dropFile collects the drops of one generation.
type dropFile struct {
	t    *Tree
	name string
	f    *os.File
	w    *bufio.Writer
	n    int
}

func (t *Tree) newDrops() (*dropFile, error) {
	name := t.tempName()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, t.explain("tree: record drops", name, err)
	}
	return &dropFile{t: t, name: name, f: f, w: bufio.NewWriter(f)}, nil
}

func (d *dropFile) add(e manifest.Entry) {
	d.n++
	d.w.Write(e.AppendText(nil)) // the error comes again at Flush
}

func (d *dropFile) keep(gen int64) error {
	if d.n == 0 {
		return nil
	}
	if err := errors.Join(d.w.Flush(), d.f.Sync()); err != nil {
		return d.t.explain("tree: record drops", d.name, err)
	}
	if err := d.t.stateDir(d.t.statePath("drops")); err != nil {
		return err
	}
	d.t.cfg.Crash("drops")
	name := d.t.statePath("drops", strconv.FormatInt(gen, 10))
	return d.t.explain("tree: record drops", name, durable.Move(d.name, name))
}

func (d *dropFile) abandon() {
	d.f.Close()
	os.Remove(d.name)
}
