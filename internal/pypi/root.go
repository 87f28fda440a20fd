package pypi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// candidate is a project to ask upstream about.
type candidate struct {
	name    string // normalised
	display string
	serial  int64 // at least this one is expected, 0 if unknown
	row     manifest.Entry
	known   bool  // row is set
	force   bool  // ask unconditionally
	absent  bool  // the root page, as a whole, does not list it
	far     int64 // a serial above it is absurd; 0 is any

	// Of projects whose files requirements choose:
	whole bool    // every version counts, and every answer
	etag  string  // validator of the page that was read last
	seen  int64   // serial of that page
	ready *change // the answer, if it is known already
}

// survey is what the root page, or the lack of need for one, tells.
type survey struct {
	state      state
	candidates []candidate
	lost       []candidate // mirrored, but no longer selected by the spec
	selected   int
	base       int64 // the generation that is planned from
	direct     bool  // the named projects are asked without the root page
	sweep      sweep
	doubts     *doubts
	notes      []tree.Note // of the root page
	html       bool        // pages may be HTML

	rows     *manifest.Manifest // of what is mirrored
	mirrored int                // how many
	lacking  []manifest.Entry   // rows that say what is lacking

	known      map[string]manifest.Entry // rows of what is mirrored, where requirements choose
	moved      map[string]int64          // serials of known projects that requirements may want and that look changed
	absent     map[string]bool           // of these, whether the root page, as a whole, does not list them
	display    map[string]string         // their names
	memo       memo
	incomplete bool

	jump string // what the root page says of its serial that no index comes to by itself
	far  int64  // a project's serial above it is absurd; 0 is any
}

// far is the greatest serial that an index may have whose serial was ref; 0 is
// any. One answer with a greater one would make all later ones count as old.
func far(ref, times int64) int64 {
	if ref <= 0 {
		return 0
	}
	return min(ref, math.MaxInt64/(2*times))*times + 1_000_000*times
}

// survey lists the projects that may have changed. A large index has 736,000: the
// table is read, in order, and not kept.
func (e *Engine) survey(ctx context.Context, t *tree.Tree, old state, rows *manifest.Manifest, base int64) (survey, error) {
	s := survey{state: old, base: base, html: base == 0 || old.HTML, rows: rows}
	s.far = far(old.Serial, 1000) // of an index of which few projects are mirrored, and long stood still
	s.state.Config, s.state.Selection = e.cfg.fingerprint(), e.cfg.selection()
	s.known, s.moved, s.display, s.absent = map[string]manifest.Entry{}, map[string]int64{}, map[string]string{}, map[string]bool{}
	if err := e.mirrored(&s); err != nil {
		return s, err
	}
	var err error
	names, all := e.cfg.named()
	s.direct = all && !e.cfg.requires()
	if !s.direct {
		if s.memo, err = e.recall(t); err != nil {
			return s, err
		}
	}
	if s.doubts, err = e.doubts(t); err != nil {
		return s, err
	}
	if !s.direct {
		return s, e.root(ctx, t, &s, old)
	}
	for _, name := range names {
		row, ok, err := rows.Lookup(name)
		if err != nil {
			return s, err
		}
		note := readNote(row)
		s.add(candidate{name: name, display: name, row: row, known: ok, force: old.Config != s.state.Config || s.again(name, note) || note.Pick != ""})
	}
	return s, nil
}

// mirrored goes through the table once.
func (e *Engine) mirrored(s *survey) error {
	requires := e.cfg.requires()
	for row, err := range s.rows.All() {
		if err != nil {
			return err
		}
		s.mirrored++
		if mayLack(row) {
			s.lacking = append(s.lacking, row)
		}
		switch {
		case requires:
			s.known[row.Path] = row
		case !e.cfg.wants(row.Path):
			s.lost = append(s.lost, candidate{name: row.Path, row: row, known: true})
		}
	}
	return nil
}

// again reports whether a project is to be asked for its whole page: a file is
// missing, or what upstream said last was not believed.
func (s *survey) again(name string, note rowNote) bool {
	_, doubted := s.doubts.was[name]
	return doubted || note.Retry
}

func (s *survey) add(c candidate) {
	c.far = s.far
	s.selected++
	s.candidates = append(s.candidates, c)
}

// root reads upstream's root page and keeps the projects whose serial moved.
func (e *Engine) root(ctx context.Context, t *tree.Tree, s *survey, old state) error {
	force := old.Config != s.state.Config
	req := fetch.Request{Max: maxRoot}
	if !force && old.Selection == s.state.Selection {
		if r := s.memo.Root; r != nil && s.memo.Base == s.base && r.Config == s.state.Config && r.Selection == s.state.Selection {
			serial := max(s.state.Serial, r.Serial)
			s.state = *r // it led to no change, so it is what this generation was made from
			s.state.Serial = serial
		}
		req.ETag, req.LastModified = s.state.ETag, s.state.LastModified
	}
	l, res, err := e.fetchRoot(ctx, req, s.html)
	if err != nil {
		return err
	}
	if s.sweep, err = e.sweep(t); err != nil {
		return err
	}
	if res.NotModified {
		return e.unmoved(s)
	}
	return e.compare(s, l, res, force)
}

// unmoved looks at what a root page that stands still says nothing of.
func (e *Engine) unmoved(s *survey) error {
	for row, err := range s.rows.All() {
		if err != nil {
			return err
		}
		name, note := row.Path, readNote(row)
		again, due := s.again(name, note), s.sweep.due(name)
		switch {
		case !e.cfg.wants(name):
			if due {
				s.moved[name] = row.Size
			}
		case again || due || s.state.Blind || row.Size == 0:
			s.add(candidate{name: name, display: display(row), row: row, known: true, serial: s.expected(row.Size), force: again, absent: s.doubts.was[name].What == unlisted})
		default:
			s.selected++
		}
	}
	for name, d := range s.doubts.was { // listed, and not there when it was asked for
		if _, ok, err := s.rows.Lookup(name); err != nil {
			return err
		} else if !ok && e.cfg.wants(name) {
			s.add(candidate{name: name, display: d.Display, serial: d.Serial})
		}
	}
	return e.unlisted(s, func(name string) bool { _, ok := s.doubts.was[name]; return ok })
}

// expected is the serial that a page must have at least, unless serials say nothing.
func (s *survey) expected(serial int64) int64 {
	if s.state.Blind {
		return 0
	}
	return serial
}

// unlisted asks for the projects that the spec names and no page lists.
func (e *Engine) unlisted(s *survey, asked func(name string) bool) error {
	names, _ := e.cfg.named()
	for _, name := range names {
		if asked(name) {
			continue
		}
		if _, mirrored, err := s.rows.Lookup(name); err != nil {
			return err
		} else if !mirrored {
			s.add(candidate{name: name, display: name})
		}
	}
	return nil
}

// compare goes through what is listed and what is mirrored at once, both by name.
func (e *Engine) compare(s *survey, l *rootListing, res fetch.Result, force bool) error {
	if len(l.projects) == 0 && s.mirrored > 0 {
		return stale(res.URL, fmt.Errorf("it lists no project at all, %d are mirrored", s.mirrored))
	}
	s.state.Blind, s.state.HTML = !l.telling, l.html
	if most := far(s.state.Serial, 10); most > 0 && l.serial > most {
		s.jump = fmt.Sprintf("root page: serial %d after %d", l.serial, s.state.Serial)
	}
	s.far = far(max(s.state.Serial, l.serial), 10)
	var lacking []manifest.Entry
	rest := l.projects
	for row, err := range s.rows.All() {
		if err != nil {
			return err
		}
		for len(rest) > 0 && rest[0].name < row.Path {
			e.listed(s, rest[0], manifest.Entry{}, force)
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].name == row.Path {
			e.listed(s, rest[0], row, force)
			rest = rest[1:]
		} else if (!isQuarantined(row) || s.sweep.due(row.Path)) && (e.cfg.wants(row.Path) || e.cfg.requires()) {
			lacking = append(lacking, row)
		}
	}
	for _, p := range rest {
		e.listed(s, p, manifest.Entry{}, force)
	}
	if err := e.unlisted(s, l.has); err != nil {
		return err
	}
	e.missing(s, l, res, lacking)
	s.state.ETag, s.state.LastModified = res.ETag, res.LastModified
	if len(s.notes) > 0 {
		s.state.ETag, s.state.LastModified = "", ""
	}
	s.state.Serial = max(l.serial, s.state.Serial)
	return nil
}

// listed looks at a project that the root page lists; row has no path if it is not mirrored.
func (e *Engine) listed(s *survey, p listed, row manifest.Entry, force bool) {
	known := row.Path != ""
	if !e.cfg.wants(p.name) {
		if known || s.memo.Projects[p.name] != nil {
			s.look(p, row)
		}
		return
	}
	note := readNote(row)
	again := force || s.again(p.name, note) || note.Pick != ""
	if known && p.serial > 0 && row.Size == p.serial && !again && !s.sweep.due(p.name) {
		s.selected++
		return
	}
	s.add(candidate{name: p.name, display: p.display, row: row, known: known, serial: p.serial, force: again})
}

// missing asks for the mirrored projects that the root page does not list. A
// page that is older than one before, or that lacks most of them, is no reason
// to let one go.
func (e *Engine) missing(s *survey, l *rootListing, res fetch.Result, lacking []manifest.Entry) {
	older := l.serial > 0 && l.serial < s.state.Serial
	if older {
		s.doubt(res.URL, "its serial is below one that was mirrored already")
	}
	if len(lacking) > 10 && len(lacking) > s.mirrored/2 && !s.doubts.believe(rootAnswer, doubt{What: "lacks most"}) {
		s.doubt(res.URL, fmt.Sprintf("it lacks %d of %d mirrored projects", len(lacking), s.mirrored))
		s.selected += len(lacking)
		return
	}
	for _, row := range lacking {
		name := row.Path
		if !e.cfg.wants(name) {
			s.moved[name], s.absent[name] = 0, !older
			continue
		}
		s.add(candidate{name: name, display: display(row), row: row, known: true, absent: !older, force: s.again(name, readNote(row))})
	}
}

func (s *survey) doubt(url, why string) {
	err := stale(url, errors.New(why))
	s.notes = append(s.notes, tree.Note{Unit: rootAnswer, Kind: string(fault.Stale), Error: err.Error()})
}

// look notes whether a project that only requirements may want has changed.
func (s *survey) look(p listed, row manifest.Entry) {
	last := row.Size
	if k := s.memo.Projects[p.name]; k != nil {
		last = max(last, k.Serial)
	}
	_, doubted := s.doubts.was[p.name]
	if doubted || p.serial == 0 || p.serial != last || row.Path != "" && s.sweep.due(p.name) {
		s.moved[p.name], s.display[p.name] = p.serial, p.display
	}
}

// display returns a project's name for readers. Most notes have none of their
// own: they are not parsed.
func display(row manifest.Entry) string {
	if !strings.Contains(row.Note, `"n":`) {
		return row.Path
	}
	if n := readNote(row).Name; n != "" {
		return n
	}
	return row.Path
}

// portal refuses HTML from an index that has JSON.
func portal(url, what string) error {
	return &fault.Error{Kind: fault.Malformed, Op: "pypi: read", Subject: url, Err: fmt.Errorf("%s came as HTML, and was JSON before", what),
		Advice: "is there a captive portal or a proxy in between? If upstream has HTML only from now on, mirror it under a new name"}
}

func subject(err error, url string) error {
	return &fault.Error{Kind: fault.KindOf(err), Op: "pypi: read", Subject: url, Err: err, Advice: "the project keeps its page; tell upstream"}
}

func stale(url string, err error) error {
	return &fault.Error{Kind: fault.Stale, Op: "pypi: read", Subject: url, Err: err,
		Advice: "nothing was published or removed; upstream, or a cache in between, is behind; if it is another index now, mirror it under a new name"}
}

var errSerial = errors.New("the page's serial is below the one expected")
