package wheels

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Config says what is merged with what.
type Config struct {
	Index     string      // name of the index mirror
	Tree      tree.Config // of the index mirror, which is only read
	Platforms []string    // in the spec's order
	// Wanted returns the pins by platform.
	Wanted func() (map[string][]Pin, error)
	// Notes returns what the requirements' source left behind; nil: nothing.
	Notes func() ([]tree.Note, error)
	Store Store
}

// Engine plans and settles the merged index.
type Engine struct{ cfg Config }

// New returns the engine for cfg.
func New(cfg Config) *Engine { return &Engine{cfg} }

// note is the engine's note on a generation.
type note struct {
	Print string `json:"print"` // of all that the pages follow from
	// Index is the generation of the index mirror whose files the pages name.
	Index int64 `json:"index"`
}

// entriesFile is the plan's list of what the next generation has, by path.
const entriesFile, noteFile = "entries", "note.json"

// Needs returns the generation of the index mirror whose files g's pages name.
func Needs(g *tree.Generation) (int64, error) {
	n, err := readNote(g)
	return n.Index, err
}

func readNote(g *tree.Generation) (note, error) {
	var n note
	if g == nil || len(g.Engine) == 0 {
		return n, nil
	}
	if err := json.Unmarshal(g.Engine, &n); err != nil {
		return n, &fault.Error{Kind: fault.Corrupt, Op: "wheels: read note", Subject: g.Mirror, Err: err, Advice: "restore the state directory"}
	}
	return n, nil
}

// Platforms reads what is known of the platforms.
func (c Config) platforms() ([]Platform, error) { return c.Store.Platforms(c.Platforms, c.Wanted) }

// Platforms reads what is known of the named platforms.
func (s Store) Platforms(names []string, wanted func() (map[string][]Pin, error)) ([]Platform, error) {
	pins, err := wanted()
	if err != nil {
		return nil, err
	}
	out := make([]Platform, len(names))
	for i, name := range names {
		out[i] = Platform{Name: name, Wanted: pins[name]}
		if out[i].Facts, err = s.Facts(name); err != nil {
			return nil, err
		}
		if out[i].Log, err = s.Read(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Survey returns the states of a platform's pins.
func (s Store) Survey(x *Index, platforms []Platform, platform string, alone bool) ([]Row, error) {
	return Survey(Input{Now: s.now(), Platforms: platforms, Page: x.Page, Has: s.has, Whole: x.whole, Alone: alone}, platform)
}

// Plan compares the own wheels and the index mirror's pages with what the
// newest generation was made from.
func (e *Engine) Plan(ctx context.Context, t *tree.Tree) (string, tree.PlanInfo, error) {
	base, err := t.Committed()
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	w, err := t.NewPlan(base)
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	defer w.Discard()
	index, err := tree.Read(e.cfg.Tree)
	if err != nil {
		return "", *w.Info(), err
	}
	defer index.Close()
	x, err := OpenIndex(index)
	if err != nil {
		return "", *w.Info(), err
	}
	if x.Generation == nil {
		return "", *w.Info(), nil // there is nothing to merge with yet
	}
	m := merge{ctx: ctx, cfg: e.cfg, t: t, x: x, w: w, entries: map[string]manifest.Entry{}}
	changed, err := m.run(base)
	if err != nil || !changed {
		return "", *w.Info(), err
	}
	return w.Finish()
}

// put writes the plan of a changed merge.
func (m *merge) put(base *tree.Generation, n note) error {
	was, err := m.t.ManifestOf(base)
	if err != nil {
		return err
	}
	info := m.w.Info()
	info.Changed = true
	info.Upstream.Serial = m.x.Generation.Upstream.Serial
	out, err := m.w.Create(entriesFile)
	if err != nil {
		return err
	}
	for e := range m.all() {
		if _, err := out.Write(e.AppendText(nil)); err != nil {
			return err
		}
	}
	if out, err = m.w.Create(noteFile); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(n); err != nil {
		return err
	}
	return m.compare(was)
}

// compare counts what is new and what goes, and wants the objects.
func (m *merge) compare(was *manifest.Manifest) error {
	info := m.w.Info()
	for e, err := range was.All() {
		if err != nil {
			return err
		}
		now, named := m.entries[e.Path]
		switch {
		case e.Kind == manifest.Object && !named:
			if err := m.w.Drop(e.Path); err != nil {
				return err
			}
		case e.Kind.IsIndex() && (!named || now != e):
			info.IndexChanges++
		}
	}
	for e := range m.all() {
		_, known, err := was.Lookup(e.Path)
		switch {
		case err != nil:
			return err
		case e.Kind.IsIndex() && !known:
			info.IndexChanges++
		case e.Kind == manifest.Object:
			if !known {
				info.Adds++
			}
			if err := m.w.Want(tree.Item{Path: e.Path, Size: e.Size, SHA256: e.Digest.String(), Kept: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// all yields the entries of the next generation by path.
func (m *merge) all() iter.Seq2[manifest.Entry, error] {
	paths := make([]string, 0, len(m.entries))
	for p := range m.entries {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return func(yield func(manifest.Entry, error) bool) {
		for _, p := range paths {
			if !yield(m.entries[p], nil) {
				return
			}
		}
	}
}

// Settle makes the next generation of a fetched plan.
func (e *Engine) Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error) {
	for shard := range p.Info.Shards {
		for r, err := range p.Results(shard) {
			if err == nil && r.Error != "" {
				err = &fault.Error{Kind: fault.Kind(r.Kind), Op: "wheels: settle", Subject: r.Path, Err: errors.New(r.Error), Advice: "run the mirror again"}
			}
			if err != nil {
				return tree.CommitRequest{}, nil, err
			}
		}
	}
	f, err := p.Open(noteFile)
	if err != nil {
		return tree.CommitRequest{}, nil, fmt.Errorf("wheels: settle: %w", err)
	}
	defer f.Close()
	engine, err := io.ReadAll(f)
	if err != nil {
		return tree.CommitRequest{}, nil, err
	}
	next, err := manifest.Write(t, planned(ctx, p))
	return tree.CommitRequest{Manifest: next, Engine: bytes.TrimSpace(engine), Upstream: p.Info.Upstream}, nil, err
}

func planned(ctx context.Context, p *tree.Plan) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		f, err := p.Open(entriesFile)
		if err != nil {
			yield(manifest.Entry{}, err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			e, err := manifest.ParseEntry(lines.Bytes())
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(manifest.Entry{}, err)
		}
	}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keep makes the content of an own wheel available to the plan.
func (s Store) keep(t *tree.Tree, digest string) error {
	d, err := manifest.ParseDigest(digest)
	if err != nil {
		return err
	}
	st, err := os.Stat(s.blob("built", digest))
	if err != nil {
		return fmt.Errorf("wheels: own wheel: %w", err)
	}
	if t.HasIndex(d, st.Size()) {
		return nil
	}
	return t.KeepFile(s.blob("built", digest), d)
}
