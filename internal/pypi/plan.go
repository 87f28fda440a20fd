package pypi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

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
	p := planner{e: e, t: t, base: base, kept: map[string]int64{}, planned: map[string]bool{}, asked: map[string]bool{}}
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
	p.sweep, p.doubts, p.html, p.listing = s.sweep, s.doubts, s.html, s.state.HTML
	p.w.Info().Deferred = append(p.w.Info().Deferred, s.notes...)
	if err == nil && e.cfg.requires() {
		err = p.follow(ctx, &s)
	}
	if err != nil {
		return "", *p.w.Info(), err
	}
	for _, step := range []func() error{func() error { return p.run(ctx, s) }, func() error { return p.sweep.done(t) }, func() error { return p.learned(s, old) }} {
		if err := step(); err != nil {
			return "", *p.w.Info(), err
		}
	}
	return p.w.Finish()
}

type planner struct {
	e       *Engine
	t       *tree.Tree
	w       *tree.PlanWriter
	base    *tree.Generation
	rows    *manifest.Manifest
	objects *manifest.Manifest
	out     io.Writer
	sweep   sweep
	doubts  *doubts
	html    bool            // pages may be HTML
	listing bool            // upstream has HTML only
	asked   map[string]bool // upstream, in this plan
	planned map[string]bool // projects that change
	first   error           // of the projects that could not be read
	failed  int             // projects

	held sync.Mutex       // guards w.Held and kept
	kept map[string]int64 // sizes by digest of files that are in the state already
}

func (p *planner) run(ctx context.Context, s survey) error {
	byName := func(a, b candidate) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(s.candidates, byName)
	slices.SortFunc(s.lost, byName)
	without := 0 // projects that could not be read, or are not there
	for c, a := range p.answers(ctx, s.candidates) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := p.take(c, a)
		if err != nil {
			return err
		}
		without += n
	}
	p.asked[rootAnswer] = true
	if err := p.doubts.save(p.t, func(name string) bool { return p.asked[name] }); err != nil {
		return err
	}
	if s.direct && without > 0 && without == s.selected {
		return p.first
	}
	if p.failed > 0 || s.incomplete {
		s.state.ETag, s.state.LastModified = "", "" // the next plan reads the root again and finds them
	}
	for _, c := range s.lost {
		if p.e.spare {
			break
		}
		if err := p.change(change{Name: c.name, Gone: true}); err != nil {
			return err
		}
	}
	if s.selected == 0 && len(s.lost) > 0 {
		p.w.Info().Emptied = append(p.w.Info().Emptied, "project-list")
	}
	p.known(s.lacking)
	p.tellHTML(&s)
	if !p.w.Info().Changed {
		return nil
	}
	p.w.Info().Upstream.Serial = s.state.Serial
	if s.jump != "" {
		p.w.Info().Jumps = append(p.w.Info().Jumps, s.jump)
	}
	out, err := p.w.Create(stateFile)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s.state)
}

// tellHTML notes an upstream that has no JSON.
func (p *planner) tellHTML(s *survey) {
	if s.state.HTML = s.direct && p.listing || !s.direct && s.state.HTML; s.state.HTML {
		p.w.Info().Deferred = append(p.w.Info().Deferred, tree.Note{Unit: rootAnswer, Kind: string(fault.Unproved), Standing: true, Known: true,
			Error: "pypi: read " + rootAnswer + ": upstream has HTML only: sizes and times come from the files, and every project is asked for in every cycle"})
	}
}

// answer is what upstream says of a project.
type answer struct {
	*change
	err error
}

// answers asks for projects and yields the answers in order. Few are on the way
// at a time, because their pages are in memory until they are written down; a
// slow one delays only what comes that far behind it.
func (p *planner) answers(ctx context.Context, cs []candidate) iter.Seq2[candidate, answer] {
	return func(yield func(candidate, answer) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		workers := make(chan struct{}, max(p.e.cfg.Workers, 1))
		window := make([]chan answer, max(2*p.e.cfg.Workers, 16))
		begun := 0
		for i, c := range cs {
			for ; begun < min(len(cs), i+len(window)); begun++ {
				next, got := cs[begun], make(chan answer, 1)
				window[begun%len(window)] = got
				running.Go(func() {
					workers <- struct{}{}
					got <- p.ask(ctx, next)
					<-workers
				})
			}
			if !yield(c, <-window[i%len(window)]) {
				return
			}
		}
	}
}

func (p *planner) ask(ctx context.Context, c candidate) (a answer) {
	if a.change = c.ready; c.ready != nil {
		return a
	}
	if a.change, a.err = p.e.ask(ctx, c, p.html); a.change != nil {
		a.err = p.judge(c, a.change)
	}
	return a
}

// take writes down what became of a project. It returns how many could not be
// read, or are not there: one or none.
func (p *planner) take(c candidate, a answer) (without int, err error) {
	p.asked[c.name] = true
	if a.change != nil && !a.Gone {
		p.listing = a.Project.HTML
	}
	err = a.err
	if c.absent && err == nil && there(c, a.change) && p.doubts.believe(c.name, doubt{What: unlisted}) {
		p.doubts.forget(c.name) // and stays
	}
	if c.known && (err != nil || a.change != nil) {
		p.sweep.again(c.name)
	}
	if err == nil && a.change != nil {
		err = p.change(*a.change)
	}
	if errors.Is(err, fault.Fenced) || errors.Is(err, fault.NoSpace) {
		return 0, err
	}
	if err != nil {
		p.fail(c, err)
		return 1, nil
	}
	return 0, nil
}

// there reports whether a project that the root page does not list has a page,
// and is not in quarantine, which would explain it.
func there(c candidate, ch *change) bool {
	if ch == nil {
		return readNote(c.row).State != simpleindex.Quarantined
	}
	return !ch.Gone && ch.Project.Status != simpleindex.Quarantined
}

// fail notes why a project stays as it is. One that is not there, and never was,
// is told once.
func (p *planner) fail(c candidate, err error) {
	if p.first == nil {
		p.first = err
	}
	if errors.Is(err, fault.Gone) && !c.known {
		p.doubts.believe(c.name, doubt{What: absentAnswer, Display: c.display, Serial: c.serial})
		p.noteStanding(c.name, err)
		return
	}
	p.failed++
	p.note(c.name, err)
}

// learned writes down what requirements led to, and that a root page changed
// nothing: it needs no reading again. One that did is noted by the commit.
func (p *planner) learned(s survey, old state) error {
	if s.direct {
		return nil
	}
	m := s.memo
	m.Base, m.Root = s.base, nil
	if !p.w.Info().Changed && p.failed == 0 && !s.incomplete && s.jump == "" && s.state != old {
		m.Root = &s.state
	}
	if !p.e.cfg.requires() {
		m.Projects = nil
	}
	return remember(p.t, m)
}

func (p *planner) note(unit string, err error) {
	info := p.w.Info()
	info.Deferred = append(info.Deferred, tree.Note{Unit: unit, Kind: string(fault.KindOf(err)), Error: err.Error()})
}

func (p *planner) noteStanding(unit string, err error) {
	p.note(unit, err)
	info := p.w.Info()
	info.Deferred[len(info.Deferred)-1].Standing = true
}
