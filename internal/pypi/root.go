package pypi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

const (
	maxRoot   = 512 << 20 // bytes of a root page; the largest index has some 50 MB
	maxListed = 16        // up to so many named projects are asked one by one, without the root
)

// candidate is a project to ask upstream about.
type candidate struct {
	name    string // normalised
	display string
	serial  int64 // at least this one is expected, 0 if unknown
	row     manifest.Entry
	known   bool // row is set
	force   bool // ask unconditionally

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

	known      map[string]manifest.Entry // rows of what is mirrored
	moved      map[string]int64          // serials of known projects that requirements may want and that look changed
	display    map[string]string         // their names
	memo       memo
	incomplete bool
}

// survey lists the projects that may have changed.
func (e *Engine) survey(ctx context.Context, t *tree.Tree, old state, rows *manifest.Manifest, base int64) (survey, error) {
	s := survey{state: old, base: base}
	s.state.Config, s.state.Selection = e.cfg.fingerprint(), e.cfg.selection()
	known := map[string]manifest.Entry{}
	s.known, s.moved, s.display = known, map[string]int64{}, map[string]string{}
	for row, err := range rows.All() {
		if err != nil {
			return s, err
		}
		known[row.Path] = row
	}
	if e.cfg.requires() {
		var err error
		if s.memo, err = e.recall(t); err != nil {
			return s, err
		}
	}
	if names, ok := e.cfg.listed(); ok && len(names) <= maxListed && !e.cfg.requires() {
		s.direct = true
		for _, name := range names {
			note := readNote(known[name])
			s.add(known, candidate{name: name, display: name, force: old.Config != s.state.Config || note.Retry || note.Pick != ""})
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

func (s *survey) add(known map[string]manifest.Entry, c candidate) {
	c.row, c.known = known[c.name], false
	if c.row.Path != "" {
		c.known = true
	}
	s.selected++
	s.candidates = append(s.candidates, c)
}

// root reads upstream's root page and keeps the projects whose serial moved.
func (e *Engine) root(ctx context.Context, t *tree.Tree, s *survey, old state, known map[string]manifest.Entry) error {
	force := old.Config != s.state.Config
	req := fetch.Request{Path: "simple/", Index: true, Max: maxRoot, Header: accept()}
	if !force && old.Selection == s.state.Selection {
		req.ETag, req.LastModified = old.ETag, old.LastModified
		if r := s.memo.Root; r != nil && s.memo.Base == s.base && r.Config == s.state.Config && r.Selection == s.state.Selection {
			req.ETag, req.LastModified = r.ETag, r.LastModified
			s.state.Serial = max(s.state.Serial, r.Serial)
		}
	}
	data, res, err := e.get(ctx, req)
	if err != nil {
		return err
	}
	s.sweep, err = e.sweep(t, known)
	if err != nil {
		return err
	}
	sweep := s.sweep.due
	if res.NotModified {
		for name, row := range known {
			switch retry := readNote(row).Retry; {
			case !e.cfg.wants(name):
				if sweep[name] {
					s.moved[name] = row.Size
				}
			case sweep[name] || retry:
				s.add(known, candidate{name: name, display: display(row), serial: row.Size, force: retry})
			default:
				s.selected++
			}
		}
		return nil
	}
	if err := isJSON(res, "the root page"); err != nil {
		return err
	}
	return e.compare(s, data, res, known, force)
}

func (e *Engine) compare(s *survey, data []byte, res fetch.Result, known map[string]manifest.Entry, force bool) error {
	sweep := s.sweep.due
	r := simpleindex.ReadRoot(bytes.NewReader(data))
	seen, listed := map[string]bool{}, 0
	for p, err := range r.Projects() {
		if err != nil {
			return subject(err, res.URL)
		}
		listed++
		name := simpleindex.Normalize(p.Name)
		if seen[name] {
			continue
		}
		row, ok := known[name]
		if !e.cfg.wants(name) {
			if ok || s.memo.Projects[name] != nil {
				seen[name] = true
				s.look(name, p, sweep[name])
			}
			continue
		}
		seen[name] = true
		retry := ok && readNote(row).Retry
		if ok && p.LastSerial > 0 && row.Size == p.LastSerial && !force && !retry && !sweep[name] && readNote(row).Pick == "" {
			s.selected++
			continue
		}
		s.add(known, candidate{name: name, display: p.Name, serial: p.LastSerial, force: force || retry || readNote(row).Pick != ""})
	}
	missing := 0
	for name, row := range known {
		if !seen[name] && (readNote(row).State != simpleindex.Quarantined || sweep[name]) && (e.cfg.wants(name) || e.cfg.requires()) {
			missing++
			if !e.cfg.wants(name) {
				s.moved[name] = 0
				continue
			}
			s.add(known, candidate{name: name, display: display(row)})
		}
	}
	serial := r.LastSerial()
	switch {
	case serial > 0 && serial < s.state.Serial:
		return stale(res.URL, fmt.Errorf("its serial %d is below %d, which was mirrored already", serial, s.state.Serial))
	case listed == 0 && len(known) > 0:
		return stale(res.URL, fmt.Errorf("it lists no project at all, %d are mirrored", len(known)))
	case missing > 10 && missing > len(known)/2:
		return stale(res.URL, fmt.Errorf("it lacks %d of %d mirrored projects", missing, len(known)))
	}
	s.state.ETag, s.state.LastModified, s.state.Serial = res.ETag, res.LastModified, max(serial, s.state.Serial)
	return nil
}

// look notes whether a project that only requirements may want has changed.
func (s *survey) look(name string, p simpleindex.RootProject, due bool) {
	last := s.known[name].Size
	if k := s.memo.Projects[name]; k != nil {
		last = max(last, k.Serial)
	}
	if due || p.LastSerial == 0 || p.LastSerial != last {
		s.moved[name], s.display[name] = p.LastSerial, p.Name
	}
}

func display(row manifest.Entry) string {
	if n := readNote(row).Name; n != "" {
		return n
	}
	return row.Path
}

func accept() http.Header {
	return http.Header{"Accept": {simpleindex.MediaV1JSON}}
}

// isJSON refuses what is not the JSON form, such as a captive portal's page.
func isJSON(res fetch.Result, what string) error {
	media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if media = strings.TrimSpace(media); media == simpleindex.MediaV1JSON || media == "application/json" || media == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Malformed, Op: "pypi: read", Subject: res.URL, Err: fmt.Errorf("%s came as %s", what, media),
		Advice: "upstream must serve the JSON form (PEP 691); is there a captive portal or a proxy in between?"}
}

func subject(err error, url string) error {
	return &fault.Error{Kind: fault.KindOf(err), Op: "pypi: read", Subject: url, Err: err, Advice: "the project keeps its page; tell upstream"}
}

func stale(url string, err error) error {
	return &fault.Error{Kind: fault.Stale, Op: "pypi: read", Subject: url, Err: err,
		Advice: "nothing was published or removed; upstream, or a cache in between, is behind; if it is another index now, mirror it under a new name"}
}

var errSerial = errors.New("the page's serial is below the one expected")
