package pypi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

const (
	maxPage   = 64 << 20 // bytes of a project page; the largest have some 30 MB
	largePage = 4 << 20  // from this size on, pages are read one at a time: read, they are several times as large
)

// change is what a plan knows of one project.
type change struct {
	Name    string               `json:"name"` // normalised
	Display string               `json:"display"`
	Serial  int64                `json:"serial"`
	ETag    string               `json:"etag,omitempty"`
	Digest  string               `json:"digest,omitempty"` // of upstream's page
	Gone    bool                 `json:"gone,omitempty"`   // hide: deleted upstream or no longer selected
	Pick    string               `json:"pick,omitempty"`   // see rowNote
	Project *simpleindex.Project `json:"project,omitempty"`
	Spared  []string             `json:"spared,omitempty"` // mirrored files that upstream lists and the mirror's choice leaves out
	Lacks   lacks                `json:"lacks,omitzero"`   // what the plan refused
}

// ask reads a candidate's page. It returns nil if nothing changed.
func (e *Engine) ask(ctx context.Context, c candidate, html bool) (*change, error) {
	req := fetch.Request{Max: maxPage}
	if c.whole {
		req.ETag = c.etag
	} else if c.known && !c.force {
		req.ETag = readNote(c.row).ETag
	}
	data, res, err := e.get(ctx, c.name+"/", req)
	switch {
	case errors.Is(err, fault.Gone):
		if !c.known {
			return nil, err
		}
		return &change{Name: c.name, Gone: true}, nil
	case err != nil:
		return nil, err
	}
	serial, err := headerSerial(res, c)
	if err != nil {
		return nil, err
	}
	if res.NotModified {
		if max(serial, c.serial) <= max(c.row.Size, c.seen) {
			return nil, nil
		}
		// The serial moved and the page did not: ask for it whole, once.
		c.force, c.etag = true, ""
		return e.ask(ctx, c, html)
	}
	if len(data) >= largePage {
		e.large.Lock()
		defer e.large.Unlock()
	}
	if !html && simpleindex.IsHTML(data) {
		return nil, portal(res.URL, "the project page")
	}
	return e.page(data, res, serial, c)
}

// maxSerial is what JSON numbers hold; no index that counts comes to it.
const maxSerial = 1 << 53

func (e *Engine) page(data []byte, res fetch.Result, serial int64, c candidate) (*change, error) {
	p, err := simpleindex.ParsePage(data, c.name, res.URL)
	if err != nil {
		return nil, subject(err, res.URL)
	}
	if serial = max(serial, p.LastSerial); serial == 0 {
		serial = c.serial // neither header nor page name one: the root's must do
	}
	switch {
	case serial < c.serial:
		return nil, stale(res.URL, fmt.Errorf("%w: %d is below %d", errSerial, serial, c.serial))
	case c.far > 0 && serial > c.far || serial > maxSerial:
		return nil, stale(res.URL, fmt.Errorf("its serial %d is absurd: all that comes later would count as old", serial))
	case serial > 0 && serial < c.row.Size:
		return nil, stale(res.URL, fmt.Errorf("its serial %d is below %d, which was mirrored already", serial, c.row.Size))
	}
	sum := manifest.Digest(sha256.Sum256(data))
	if c.known && !c.force && !c.whole && sum == c.row.Digest && serial == c.row.Size {
		return nil, nil
	}
	var spared []string
	if !c.whole {
		absent := readNote(c.row).Lacks.absent()
		spared = without(p, func(p *simpleindex.Project) { e.trim(p, absent) })
	}
	return &change{Name: c.name, Display: c.display, Serial: serial, ETag: res.ETag, Digest: sum.String(), Project: p, Spared: spared}, nil
}

// without returns the names of the files that cut takes out of p.
func without(p *simpleindex.Project, cut func(*simpleindex.Project)) (out []string) {
	all := slices.Clone(p.Files)
	cut(p)
	left := map[string]bool{}
	for _, f := range p.Files {
		left[f.Filename] = true
	}
	for _, f := range all {
		if !left[f.Filename] {
			out = append(out, f.Filename)
		}
	}
	return out
}

// headerSerial returns the serial that the answer names, 0 if none, and refuses
// one below the serial that is expected: caches in front of an index serve old
// pages for a while.
func headerSerial(res fetch.Result, c candidate) (int64, error) {
	serial := simpleindex.SerialOf(res.Header.Get("X-PyPI-Last-Serial"))
	if serial > 0 && serial < c.serial {
		return serial, stale(res.URL, fmt.Errorf("%w: %d is below %d", errSerial, serial, c.serial))
	}
	return serial, nil
}

// objectPath is where a file of p lies in the tree.
func objectPath(f simpleindex.File) string {
	return simpleindex.ObjectPath(f.URL, f.SHA256, f.Filename)
}

// owned refuses files that are not named after their project, or named like the
// METADATA that is laid beside a wheel.
func owned(project string, f simpleindex.File) error {
	why := ""
	_, versioned := simpleindex.FileVersion(project, f.Filename)
	switch {
	case strings.HasSuffix(f.Filename, ".metadata"):
		why = "has the name of a wheel's metadata"
	case strings.HasSuffix(f.Filename, ".whl") && !versioned,
		!strings.HasPrefix(simpleindex.Normalize(f.Filename), project+"-"):
		why = "does not begin with the name of project " + project
	}
	if why == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Hostile, Op: "pypi: check name", Subject: f.URL, Err: fmt.Errorf("%s %s", f.Filename, why)}
}

// owners lists the projects, other than the given one, that could name an
// object by its file name: that of foo-bar-1.tar.gz may be foo or foo-bar, and
// foo_bar-1.tar.gz is spelt otherwise and no different (PEP 503).
func owners(object, project string) (others []string) {
	name := path.Base(object)
	for i, c := range name {
		if !strings.ContainsRune("-_.", c) {
			continue
		}
		if other := simpleindex.Normalize(name[:i]); other != project && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	return others
}
