package pypi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

const maxRoot = 512 << 20 // bytes of a root page; the largest index has some 50 MB

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

	known      map[string]manifest.Entry // rows of what is mirrored
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

// survey lists the projects that may have changed.
func (e *Engine) survey(ctx context.Context, t *tree.Tree, old state, rows *manifest.Manifest, base int64) (survey, error) {
	s := survey{state: old, base: base, html: base == 0 || old.HTML}
	s.far = far(old.Serial, 1000) // of an index of which few projects are mirrored, and long stood still
	s.state.Config, s.state.Selection = e.cfg.fingerprint(), e.cfg.selection()
	known := map[string]manifest.Entry{}
	s.known, s.moved, s.display, s.absent = known, map[string]int64{}, map[string]string{}, map[string]bool{}
	for row, err := range rows.All() {
		if err != nil {
			return s, err
		}
		known[row.Path] = row
	}
	var err error
	if e.cfg.requires() {
		if s.memo, err = e.recall(t); err != nil {
			return s, err
		}
	}
	if s.doubts, err = e.doubts(t); err != nil {
		return s, err
	}
	if names, all := e.cfg.named(); all && !e.cfg.requires() {
		s.direct = true
		for _, name := range names {
			note := readNote(known[name])
			s.add(known, candidate{name: name, display: name, force: old.Config != s.state.Config || s.again(name, note) || note.Pick != ""})
		}
	} else if err := e.root(ctx, t, &s, old, known); err != nil {
		return s, err
	}
	for name, row := range known {
		if !e.cfg.wants(name) && !e.cfg.requires() {
			s.lost = append(s.lost, candidate{name: name, row: row, known: true})
		}
	}
	return s, nil
}

// again reports whether a project is to be asked for its whole page: a file is
// missing, or what upstream said last was not believed.
func (s *survey) again(name string, note rowNote) bool {
	_, doubted := s.doubts.was[name]
	return doubted || note.Retry
}

func (s *survey) add(known map[string]manifest.Entry, c candidate) {
	c.row, c.known, c.far = known[c.name], false, s.far
	if c.row.Path != "" {
		c.known = true
	}
	s.selected++
	s.candidates = append(s.candidates, c)
}

// root reads upstream's root page and keeps the projects whose serial moved.
func (e *Engine) root(ctx context.Context, t *tree.Tree, s *survey, old state, known map[string]manifest.Entry) error {
	force := old.Config != s.state.Config
	req := fetch.Request{Max: maxRoot}
	if !force && old.Selection == s.state.Selection {
		req.ETag, req.LastModified = old.ETag, old.LastModified
		if r := s.memo.Root; r != nil && s.memo.Base == s.base && r.Config == s.state.Config && r.Selection == s.state.Selection {
			req.ETag, req.LastModified = r.ETag, r.LastModified
			s.state.Serial = max(s.state.Serial, r.Serial)
		}
	}
	data, res, err := e.get(ctx, "", req)
	if err != nil {
		return err
	}
	s.sweep, err = e.sweep(t, known)
	if err != nil {
		return err
	}
	if res.NotModified {
		e.unmoved(s, known)
		return nil
	}
	l, err := readListing(data, res.URL, s.html)
	if err != nil {
		return err
	}
	return e.compare(s, l, res, known, force)
}

// unmoved looks at what a root page that stands still says nothing of.
func (e *Engine) unmoved(s *survey, known map[string]manifest.Entry) {
	for name, row := range known {
		note := readNote(row)
		again := s.again(name, note)
		switch {
		case !e.cfg.wants(name):
			if s.sweep.due[name] {
				s.moved[name] = row.Size
			}
		case again || s.sweep.due[name] || s.state.Blind || row.Size == 0:
			s.add(known, candidate{name: name, display: display(row), serial: s.expected(row.Size), force: again, absent: s.doubts.was[name].What == unlisted})
		default:
			s.selected++
		}
	}
	for name, d := range s.doubts.was { // listed, and not there when it was asked for
		if _, ok := known[name]; !ok && e.cfg.wants(name) {
			s.add(known, candidate{name: name, display: d.Display, serial: d.Serial})
		}
	}
	e.unlisted(s, known, s.doubts.was)
}

// expected is the serial that a page must have at least, unless serials say nothing.
func (s *survey) expected(serial int64) int64 {
	if s.state.Blind {
		return 0
	}
	return serial
}

// unlisted asks for the projects that the spec names and no page lists.
func (e *Engine) unlisted(s *survey, known map[string]manifest.Entry, asked map[string]doubt) {
	names, _ := e.cfg.named()
	for _, name := range names {
		_, mirrored := known[name]
		if _, ok := asked[name]; !ok && !mirrored {
			s.add(known, candidate{name: name, display: name})
		}
	}
}

func (e *Engine) compare(s *survey, l *rootListing, res fetch.Result, known map[string]manifest.Entry, force bool) error {
	if len(l.projects) == 0 && len(known) > 0 {
		return stale(res.URL, fmt.Errorf("it lists no project at all, %d are mirrored", len(known)))
	}
	s.state.Blind, s.state.HTML = !l.telling, l.html
	if most := far(s.state.Serial, 10); most > 0 && l.serial > most {
		s.jump = fmt.Sprintf("root page: serial %d after %d", l.serial, s.state.Serial)
	}
	s.far = far(max(s.state.Serial, l.serial), 10)
	seen := map[string]bool{}
	named := map[string]doubt{}
	for _, p := range l.projects {
		name := simpleindex.Normalize(p.Name)
		if seen[name] {
			continue
		}
		row, ok := known[name]
		if !e.cfg.wants(name) {
			if ok || s.memo.Projects[name] != nil {
				seen[name] = true
				s.look(name, p, s.sweep.due[name])
			}
			continue
		}
		seen[name] = true
		named[name] = doubt{}
		note := readNote(row)
		again := force || s.again(name, note) || note.Pick != ""
		if ok && p.LastSerial > 0 && row.Size == p.LastSerial && !again && !s.sweep.due[name] {
			s.selected++
			continue
		}
		s.add(known, candidate{name: name, display: p.Name, serial: p.LastSerial, force: again})
	}
	e.unlisted(s, known, named)
	e.missing(s, l, res, known, seen)
	s.state.ETag, s.state.LastModified = res.ETag, res.LastModified
	if len(s.notes) > 0 {
		s.state.ETag, s.state.LastModified = "", ""
	}
	s.state.Serial = max(l.serial, s.state.Serial)
	return nil
}

// missing asks for the mirrored projects that the root page does not list. A
// page that is older than one before, or that lacks most of them, is no reason
// to let one go.
func (e *Engine) missing(s *survey, l *rootListing, res fetch.Result, known map[string]manifest.Entry, seen map[string]bool) {
	var lacking []string
	for name, row := range known {
		if !seen[name] && (readNote(row).State != simpleindex.Quarantined || s.sweep.due[name]) && (e.cfg.wants(name) || e.cfg.requires()) {
			lacking = append(lacking, name)
		}
	}
	older := l.serial > 0 && l.serial < s.state.Serial
	if older {
		s.doubt(res.URL, "its serial is below one that was mirrored already")
	}
	if len(lacking) > 10 && len(lacking) > len(known)/2 && !s.doubts.believe(rootAnswer, doubt{What: "lacks most"}) {
		s.doubt(res.URL, fmt.Sprintf("it lacks %d of %d mirrored projects", len(lacking), len(known)))
		s.selected += len(lacking)
		return
	}
	for _, name := range lacking {
		row := known[name]
		if !e.cfg.wants(name) {
			s.moved[name], s.absent[name] = 0, !older
			continue
		}
		s.add(known, candidate{name: name, display: display(row), absent: !older, force: s.again(name, readNote(row))})
	}
}

func (s *survey) doubt(url, why string) {
	err := stale(url, errors.New(why))
	s.notes = append(s.notes, tree.Note{Unit: rootAnswer, Kind: string(fault.Stale), Error: err.Error()})
}

// rootListing is what a root page lists.
type rootListing struct {
	projects []simpleindex.RootProject
	serial   int64
	telling  bool // serials tell projects apart; if not, those of projects are 0
	html     bool
}

func readListing(data []byte, url string, html bool) (*rootListing, error) {
	l := &rootListing{html: simpleindex.IsHTML(data)}
	if l.html && !html {
		return nil, portal(url, "the root page")
	}
	if l.html {
		var err error
		if l.projects, l.serial, err = simpleindex.ReadRootHTML(data, url); err != nil {
			return nil, subject(err, url)
		}
	} else {
		r := simpleindex.ReadRoot(bytes.NewReader(data))
		for p, err := range r.Projects() {
			if err != nil {
				return nil, subject(err, url)
			}
			l.projects = append(l.projects, p)
		}
		l.serial = r.LastSerial()
	}
	for _, p := range l.projects {
		l.telling = l.telling || p.LastSerial != l.projects[0].LastSerial
	}
	for i := range l.projects {
		if !l.telling { // the same for all, as some servers have it, or none
			l.projects[i].LastSerial = 0
		}
	}
	return l, nil
}

// look notes whether a project that only requirements may want has changed.
func (s *survey) look(name string, p simpleindex.RootProject, due bool) {
	last := s.known[name].Size
	if k := s.memo.Projects[name]; k != nil {
		last = max(last, k.Serial)
	}
	_, doubted := s.doubts.was[name]
	if due || doubted || p.LastSerial == 0 || p.LastSerial != last {
		s.moved[name], s.display[name] = p.LastSerial, p.Name
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
