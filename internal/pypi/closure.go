package pypi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/requirements"
)

// closure follows requirements from project to project: what is asked for, in
// which versions, and what those ask for in turn, to run and to be built.
//
// Each requirement is answered by itself, so the answer to one more never takes
// back another, and the order in which they are found does not matter. What was
// learned is remembered: a project whose page stands still, and of which nothing
// new is asked, costs no request.
type closure struct {
	p     *planner
	s     *survey
	w     wishes
	memo  memo // of the last plan
	nodes map[string]*node
	spill spill
	// incomplete is set if something could not be read: then nothing is let go.
	incomplete bool
}

// node is a project that something asks for.
type node struct {
	name     string
	asks     map[string]ask // by specifiers
	extras   []string
	row      candidate // what is mirrored of it
	known    *known    // what is remembered
	all      bool      // selected by the spec with every version
	answered int       // how many of asks are
	asked    bool      // upstream
	again    bool      // to be asked for the whole page
	fetched  bool      // its page came, and is in the spill
	failed   error
	etag     string
	serial   int64
	gone     bool
	versions []version
	picks    map[string][]string
	expanded map[string]string // versions to the extras they were read with
	needs    map[string]needs
}

type ask struct {
	requirement requirements.Requirement
	by          string
}

// requires reports whether versions are chosen by requirements.
func (c Config) requires() bool { return len(c.Requirements)+len(c.Wheels) > 0 }

// follow adds to s what requirements ask for, and what it lets go.
func (p *planner) follow(ctx context.Context, s *survey) error {
	w, notes, err := p.e.cfg.wished()
	if err != nil {
		return err
	}
	c := closure{p: p, s: s, w: w, memo: s.memo, nodes: map[string]*node{}}
	defer c.spill.close()
	p.w.Info().Deferred = append(p.w.Info().Deferred, notes...)
	for _, r := range w.Asks {
		if w.holds(r.Marker, r.Extras) {
			c.ask(r, "the requirements")
		}
	}
	for pending := c.pending(); len(pending) > 0; pending = c.pending() {
		if err := c.answer(ctx, pending); err != nil {
			return err
		}
		if err := c.expand(ctx); err != nil {
			return err
		}
	}
	return c.finish()
}

// ask notes that by asks for r.
func (c *closure) ask(r requirements.Requirement, by string) {
	if r.URL != "" || matchAny(c.p.e.cfg.Exclude, r.Name) {
		return // no index has the one, and the spec does not want the other
	}
	n := c.nodes[r.Name]
	if n == nil {
		row, ok := c.s.known[r.Name]
		n = &node{name: r.Name, asks: map[string]ask{}, known: c.memo.Projects[r.Name], picks: map[string][]string{}, expanded: map[string]string{},
			needs: map[string]needs{}, all: c.p.e.cfg.wants(r.Name), row: candidate{name: r.Name, display: r.Name, row: row, known: ok}}
		if ok {
			n.row.display = display(row)
		}
		if d := c.s.display[r.Name]; d != "" {
			n.row.display = d
		}
		c.nodes[r.Name] = n
	}
	if key := r.Versions.String(); n.asks[key].by == "" {
		n.asks[key] = ask{r, by}
	}
	n.extras = unique(append(n.extras, r.Extras...))
}

func (c *closure) sorted() []*node {
	return slices.SortedFunc(maps.Values(c.nodes), func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}

// pending are the projects of which something new is asked; after them, those
// whose page holds versions that nothing asks for any more.
func (c *closure) pending() (out []*node) {
	for _, n := range c.sorted() {
		if n.answered < len(n.asks) {
			out = append(out, n)
		}
	}
	if len(out) > 0 || c.incomplete {
		return out
	}
	for _, n := range c.sorted() {
		if !n.all && !n.fetched && !n.gone && n.failed == nil && n.row.known && !slices.Equal(n.wanted(), n.known.Versions) {
			n.again = true
			out = append(out, n)
		}
	}
	return out
}

// answer chooses versions, and reads the pages that it takes.
func (c *closure) answer(ctx context.Context, pending []*node) error {
	var g errgroup.Group
	g.SetLimit(max(c.p.e.cfg.Workers, 1))
	for _, n := range pending {
		if n.fetched || n.gone || n.failed != nil || c.remembered(n) && (n.asked || !c.moved(n)) {
			continue
		}
		g.Go(func() error { return c.read(ctx, n) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range pending {
		n.answered = len(n.asks)
		for key, a := range n.asks {
			n.picks[key] = c.picked(n, key, a)
		}
	}
	return ctx.Err()
}

// remembered reports whether everything asked of n was answered before, from
// the page that is mirrored now.
func (c *closure) remembered(n *node) bool {
	k := n.known
	if k == nil || k.Incomplete || n.again || !slices.Equal(k.Pins, c.w.Pins[n.name]) {
		return false
	}
	for key := range n.asks {
		if _, ok := k.Picks[key]; !ok {
			return false
		}
	}
	if k.Gone || n.all {
		return true
	}
	note := readNote(n.row.row)
	return !note.Retry && (n.row.known && note.Pick == k.Page || !n.row.known && k.Page == "")
}

// moved reports whether the root page, or the sweep, gives reason to look again.
func (c *closure) moved(n *node) bool {
	_, ok := c.s.moved[n.name]
	return ok
}

// read asks upstream for n's page. Only what concerns more than n is an error.
func (c *closure) read(ctx context.Context, n *node) error {
	n.asked = true
	q := n.row
	q.far = c.s.far
	q.serial, q.whole, q.seen = c.s.moved[n.name], true, n.row.row.Size
	if n.known != nil {
		q.seen = max(q.seen, n.known.Serial)
		if c.remembered(n) {
			q.etag = n.known.ETag
		}
	}
	q.absent = c.s.absent[n.name]
	ch, err := c.p.e.ask(ctx, q, c.p.html)
	if ch != nil {
		err = c.p.judge(q, ch)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fault.Gone), err == nil && ch != nil && ch.Gone:
		n.gone = true
	case err != nil:
		n.failed = err
	case ch == nil: // not modified
		n.serial, n.etag = max(q.serial, q.seen), q.etag
	default:
		clear(n.expanded) // by the files of this page
		n.fetched, n.serial, n.etag, n.versions = true, ch.Serial, ch.ETag, versionsOf(ch.Project)
		return c.spill.put(n.name, ch)
	}
	return nil
}

// picked answers one requirement.
func (c *closure) picked(n *node, key string, a ask) []string {
	switch {
	case n.fetched:
		return c.w.pick(a.requirement, n.versions)
	case n.gone || n.known == nil:
		return nil
	}
	return n.known.Picks[key]
}

// wanted are the versions picked of n.
func (n *node) wanted() (out []string) {
	for _, versions := range n.picks {
		out = append(out, versions...)
	}
	return unique(out)
}

// expand asks for what the versions picked need.
func (c *closure) expand(ctx context.Context) error {
	type job struct {
		n       *node
		version string
		needs   needs
		err     error
	}
	var jobs []*job
	for _, n := range c.sorted() {
		for _, v := range n.wanted() {
			if extras := fmt.Sprint(n.extras); n.expanded[v] != extras {
				n.expanded[v] = extras
				jobs = append(jobs, &job{n: n, version: v})
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(max(c.p.e.cfg.Workers, 1))
	for _, j := range jobs {
		g.Go(func() (err error) {
			j.needs, j.err = c.needs(ctx, j.n, j.version)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.err != nil {
			if errors.Is(j.err, fault.NoSpace) || errors.Is(j.err, fault.Fenced) || fault.KindOf(j.err) == "" {
				return j.err
			}
			c.p.note(j.n.name, j.err)
		}
		if j.needs.Unread {
			c.incomplete = true
		}
		j.n.needs[j.version] = j.needs
		by := j.n.name + " " + j.version
		c.lines(by, j.needs.Run, j.n.extras)
		c.lines(by, j.needs.Build, nil)
	}
	return nil
}

// lines asks for each line of metadata whose marker holds. One that cannot be
// read is passed over: pip could not install it either.
func (c *closure) lines(by string, lines []string, extras []string) {
	for _, line := range lines {
		if r, err := requirements.Parse(line); err == nil && c.w.holds(r.Marker, extras) {
			c.ask(r, by)
		}
	}
}
