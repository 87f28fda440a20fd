package pypi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// The engine's own parts of a plan.
const (
	changesFile = "projects.jsonl" // a change per line, by name
	stateFile   = "state.json"
)

// Plan asks upstream which projects changed. A project that cannot be read is
// noted and stays as it is; if the root page cannot be read, or no project at
// all, that is the error.
func (e *Engine) Plan(ctx context.Context, t *tree.Tree) (string, tree.PlanInfo, error) {
	base, err := t.Committed()
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	old, err := readState(base)
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	p := planner{e: e, t: t, kept: map[string]int64{}}
	if p.rows, err = t.Table(base, projectsTable); err == nil {
		p.objects, err = t.Table(base, objectsTable)
	}
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	if p.w, err = t.NewPlan(base); err != nil {
		return "", tree.PlanInfo{}, err
	}
	defer p.w.Discard()
	s, err := e.survey(ctx, t, old, p.rows, p.w.Info().Base)
	p.sweep = s.sweep
	if err == nil && e.cfg.requires() {
		err = p.follow(ctx, &s)
	}
	if err != nil {
		return "", *p.w.Info(), err
	}
	if err := p.run(ctx, s); err != nil {
		return "", *p.w.Info(), err
	}
	if err := p.sweep.done(t); err != nil {
		return "", *p.w.Info(), err
	}
	if err := p.learned(s); err != nil {
		return "", *p.w.Info(), err
	}
	return p.w.Finish()
}

type planner struct {
	e       *Engine
	t       *tree.Tree
	w       *tree.PlanWriter
	rows    *manifest.Manifest
	objects *manifest.Manifest
	out     io.Writer
	sweep   sweep
	first   error // of the projects that could not be read
	failed  int   // projects

	held sync.Mutex       // guards w.Held and kept
	kept map[string]int64 // sizes by digest of files that are in the state already
}

func (p *planner) run(ctx context.Context, s survey) error {
	byName := func(a, b candidate) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(s.candidates, byName)
	slices.SortFunc(s.lost, byName)
	failed := 0
	// Few at a time: their pages are in memory until they are written down.
	for chunk := range slices.Chunk(s.candidates, max(2*p.e.cfg.Workers, 16)) {
		n, err := p.chunk(ctx, chunk)
		if err != nil {
			return err
		}
		failed += n
	}
	p.failed = failed
	if s.direct && failed > 0 && failed == s.selected {
		return p.first
	}
	if failed > 0 || s.incomplete {
		s.state.ETag, s.state.LastModified = "", "" // the next plan reads the root again and finds them
	}
	for _, c := range s.lost {
		if err := p.change(change{Name: c.name, Gone: true}); err != nil {
			return err
		}
	}
	if s.selected == 0 && len(s.lost) > 0 {
		p.w.Info().Emptied = append(p.w.Info().Emptied, "project-list")
	}
	if !p.w.Info().Changed {
		return nil
	}
	p.w.Info().Upstream.Serial = s.state.Serial
	out, err := p.w.Create(stateFile)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s.state)
}

// chunk asks for some projects at once and writes down their changes in order.
func (p *planner) chunk(ctx context.Context, cs []candidate) (failed int, err error) {
	changes, errs := make([]*change, len(cs)), make([]error, len(cs))
	var g errgroup.Group
	g.SetLimit(max(p.e.cfg.Workers, 1))
	for i, c := range cs {
		g.Go(func() error {
			if changes[i] = c.ready; c.ready == nil {
				changes[i], errs[i] = p.e.ask(ctx, c)
			}
			return nil
		})
	}
	_ = g.Wait() // each error is kept beside its project
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	for i, c := range cs {
		err := errs[i]
		if err != nil || changes[i] != nil {
			p.sweep.again(c.name)
		}
		if err == nil && changes[i] != nil {
			err = p.change(*changes[i])
		}
		if errors.Is(err, fault.Fenced) || errors.Is(err, fault.NoSpace) {
			return failed, err
		}
		if err != nil {
			failed++
			if p.first == nil {
				p.first = err
			}
			p.note(c.name, err)
		}
	}
	return failed, nil
}

// learned writes down what requirements led to. The root page that changed
// nothing needs no reading again; one that did is noted by the commit.
func (p *planner) learned(s survey) error {
	if !p.e.cfg.requires() {
		return nil
	}
	m := s.memo
	m.Base, m.Root = s.base, nil
	if !p.w.Info().Changed && p.failed == 0 && !s.incomplete {
		m.Root = &s.state
	}
	return remember(p.t, m)
}

func (p *planner) note(unit string, err error) {
	info := p.w.Info()
	info.Deferred = append(info.Deferred, tree.Note{Unit: unit, Kind: string(fault.KindOf(err)), Error: err.Error()})
}

// change writes one project's change into the plan: what to fetch, what is let go.
func (p *planner) change(c change) error {
	had, err := objectsOf(p.objects, c.Name)
	if err != nil {
		return err
	}
	if !c.Gone && c.Project.Status == simpleindex.Quarantined {
		c.Project.Files, c.Project.Versions = nil, nil
	}
	mirrored := map[string]bool{}
	for object := range had {
		mirrored[path.Base(object)] = true
	}
	c.Spared = slices.DeleteFunc(c.Spared, func(name string) bool { return !mirrored[name] })
	if err := p.files(&c, had); err != nil {
		return err
	}
	info := p.w.Info()
	info.Changed = true
	for _, e := range sortedByPath(had) { // what files did not take out is no longer named
		if err := p.w.Drop(e.Path); err != nil {
			return err
		}
	}
	if !c.Gone && len(c.Project.Files) == 0 && len(had) > 0 && c.Project.Status != simpleindex.Quarantined {
		// Owners do delete all their files, on a large index every day; then the
		// serial says that the page is meant.
		row, _, err := p.rows.Lookup(c.Name)
		if err != nil {
			return err
		}
		if c.Serial <= row.Size || row.Size == 0 {
			info.Emptied = append(info.Emptied, c.Name)
		}
	}
	info.IndexChanges += 3
	if p.out == nil {
		if p.out, err = p.w.Create(changesFile); err != nil {
			return err
		}
	}
	return json.NewEncoder(p.out).Encode(c)
}

// files wants every file of the project that the tree lacks, and takes those
// that stay named out of had. The same name with other bytes is refused: the
// project keeps its page.
func (p *planner) files(c *change, had map[string]manifest.Entry) error {
	if c.Gone {
		return nil
	}
	names := map[string]string{}
	for _, e := range had {
		names[path.Base(e.Path)] = e.Digest.String()
	}
	var keep []simpleindex.File
	var items []tree.Item
	for _, f := range c.Project.Files {
		if err := owned(c.Name, f); err != nil {
			p.note(c.Name, err)
			continue
		}
		if was := names[f.Filename]; was != "" && was != f.SHA256 {
			return conflict(f, was)
		}
		object := objectPath(f)
		if err := tree.CheckPath(object); err != nil {
			return err
		}
		there, err := p.there(object, f, had)
		if err != nil {
			return err
		}
		if !there {
			size, kept := p.kept[f.SHA256]
			if kept {
				f.Size = size
			}
			items = append(items, tree.Item{Path: object, Size: f.Size, SHA256: f.SHA256, Source: f.URL, Unit: c.Name,
				Metadata: strings.HasSuffix(f.Filename, ".whl"), Kept: kept})
		}
		keep = append(keep, f)
	}
	c.Project.Files = keep
	for _, f := range keep {
		if _, ok := had[objectPath(f)]; !ok {
			p.w.Info().Adds++
		}
		delete(had, objectPath(f))
		delete(had, objectPath(f)+".metadata")
	}
	for _, it := range items {
		if err := p.w.Fetch(it); err != nil {
			return err
		}
	}
	return nil
}

// there reports whether the tree holds a file, named or retained. A retained
// one is looked for, because a reaping may have been cut short.
func (p *planner) there(object string, f simpleindex.File, had map[string]manifest.Entry) (bool, error) {
	held, ok, err := p.w.Held(object)
	switch {
	case err != nil || !ok:
		return false, err
	case held.Digest.String() != f.SHA256:
		return false, conflict(f, held.Digest.String())
	}
	if _, named := had[object]; named {
		return true, nil
	}
	size, ok, err := p.t.Stat(object)
	return ok && size == held.Size, err
}

func conflict(f simpleindex.File, was string) error {
	return &fault.Error{Kind: fault.Conflict, Op: "pypi: plan file", Subject: f.URL,
		Err:    fmt.Errorf("%s was mirrored with SHA-256 %s, upstream now says %s", f.Filename, was, f.SHA256),
		Advice: "the project keeps its page: a released file never changes; ask upstream what happened"}
}

// objectsOf returns the objects of a project by path.
func objectsOf(objects *manifest.Manifest, project string) (map[string]manifest.Entry, error) {
	out := map[string]manifest.Entry{}
	for e, err := range objects.Under(project + "/") {
		if err != nil {
			return nil, err
		}
		e.Path = strings.TrimPrefix(e.Path, project+"/")
		out[e.Path] = e
	}
	return out, nil
}

func sortedByPath(m map[string]manifest.Entry) []manifest.Entry {
	out := make([]manifest.Entry, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, manifest.Compare)
	return out
}
