package pypi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/simpleindex"
)

const maxRoot = 512 << 20 // bytes of a root page; the largest index has some 50 MB

// rootListing is what a root page lists.
type rootListing struct {
	projects []listed // by name, each once
	serial   int64
	telling  bool // serials tell projects apart; if not, those of projects are 0
	html     bool
}

type listed struct {
	name    string // normalised
	display string
	serial  int64
}

func byListedName(a, b listed) int { return strings.Compare(a.name, b.name) }

// has tells whether a normalised name is listed.
func (l *rootListing) has(name string) bool {
	_, ok := slices.BinarySearchFunc(l.projects, listed{name: name}, byListedName)
	return ok
}

// fetchRoot asks for the root page and reads it.
func (e *Engine) fetchRoot(ctx context.Context, req fetch.Request, html bool) (*rootListing, fetch.Result, error) {
	var s spool
	defer s.close()
	req.Upstreams, req.Index, req.Header = e.roots, true, accept()
	res, err := e.client.Get(ctx, req, &s)
	if err != nil || res.NotModified {
		return nil, res, err
	}
	l, err := readListing(&s, res.URL, html)
	return l, res, err
}

func readListing(s *spool, url string, html bool) (*rootListing, error) {
	in, err := s.reader()
	if err != nil {
		return nil, err
	}
	start, err := in.Peek(512)
	if errors.Is(err, io.EOF) { // a short page
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("pypi: keep root page: %w", err)
	}
	l := &rootListing{html: simpleindex.IsHTML(start)}
	switch {
	case l.html && !html:
		return nil, portal(url, "the root page")
	case l.html:
		err = l.readHTML(in, url)
	default:
		r := simpleindex.ReadRoot(in)
		for p, err := range r.Projects() {
			if err != nil {
				return nil, subject(err, url)
			}
			l.add(p)
		}
		l.serial = r.LastSerial()
	}
	l.finish()
	return l, err
}

func (l *rootListing) readHTML(in io.Reader, url string) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("pypi: keep root page: %w", err)
	}
	all, serial, err := simpleindex.ReadRootHTML(data, url)
	if err != nil {
		return subject(err, url)
	}
	for _, p := range all {
		l.add(p)
	}
	l.serial = serial
	return nil
}

func (l *rootListing) add(p simpleindex.RootProject) {
	name := simpleindex.Normalize(p.Name)
	if name == p.Name {
		p.Name = name // one string
	}
	l.projects = append(l.projects, listed{name, p.Name, p.LastSerial})
}

// finish sorts what is listed. Of several entries of one project the first counts.
func (l *rootListing) finish() {
	for _, p := range l.projects {
		l.telling = l.telling || p.serial != l.projects[0].serial
	}
	if !slices.IsSortedFunc(l.projects, byListedName) {
		slices.SortStableFunc(l.projects, byListedName)
	}
	l.projects = slices.CompactFunc(l.projects, func(a, b listed) bool { return a.name == b.name })
	if l.telling {
		return
	}
	for i := range l.projects {
		l.projects[i].serial = 0 // the same for all, as some servers have it, or none
	}
}

// spool keeps a page on disk while it comes in: it is whole before it is read.
type spool struct{ f *os.File }

func (s *spool) Write(data []byte) (int, error) {
	if s.f == nil {
		f, err := os.CreateTemp("", "mirrorcycle-root-*")
		if err != nil {
			return 0, fmt.Errorf("pypi: keep root page: %w", err)
		}
		s.f = f
		if err := os.Remove(f.Name()); err != nil { // it lives as long as it is open
			return 0, fmt.Errorf("pypi: keep root page: %w", err)
		}
	}
	return s.f.Write(data)
}

// Reset implements fetch.Sink.
func (s *spool) Reset() error {
	if s.f == nil {
		return nil
	}
	_, err := s.f.Seek(0, io.SeekStart)
	return errors.Join(err, s.f.Truncate(0))
}

func (s *spool) reader() (*bufio.Reader, error) {
	if s.f == nil {
		return bufio.NewReader(strings.NewReader("")), nil
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("pypi: keep root page: %w", err)
	}
	return bufio.NewReaderSize(s.f, 64<<10), nil
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
	}
}
