package pypi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// maxPage bounds a project page in bytes; the largest have some 30 MB.
const maxPage = 256 << 20

// change is what a plan knows of one project.
type change struct {
	Name    string               `json:"name"` // normalised
	Display string               `json:"display"`
	Serial  int64                `json:"serial"`
	ETag    string               `json:"etag,omitempty"`
	Digest  string               `json:"digest,omitempty"` // of upstream's page
	Gone    bool                 `json:"gone,omitempty"`   // hide: deleted upstream or no longer selected
	Project *simpleindex.Project `json:"project,omitempty"`
}

// ask reads a candidate's page. It returns nil if nothing changed.
func (e *Engine) ask(ctx context.Context, c candidate) (*change, error) {
	req := fetch.Request{Path: "simple/" + c.name + "/", Index: true, Max: maxPage, Header: accept()}
	if c.known && !c.force {
		req.ETag = readNote(c.row).ETag
	}
	data, res, err := e.get(ctx, req)
	switch {
	case errors.Is(err, fault.Gone):
		if !c.known {
			return nil, err
		}
		return &change{Name: c.name, Gone: true}, nil
	case err != nil:
		return nil, err
	}
	serial, err := fresh(res, c)
	if err != nil {
		return nil, err
	}
	if res.NotModified {
		if serial <= c.row.Size {
			return nil, nil
		}
		// The serial moved and the page did not: ask for it whole, once.
		c.force = true
		return e.ask(ctx, c)
	}
	return e.page(data, res, serial, c)
}

func (e *Engine) page(data []byte, res fetch.Result, serial int64, c candidate) (*change, error) {
	if err := isJSON(res, "the project page"); err != nil {
		return nil, err
	}
	p, err := simpleindex.ParseProject(data, c.name, res.URL)
	if err != nil {
		return nil, subject(err, res.URL)
	}
	if serial = max(serial, p.LastSerial); serial < c.row.Size {
		return nil, stale(res.URL, fmt.Errorf("its serial %d is below %d, which was mirrored already", serial, c.row.Size))
	}
	sum := manifest.Digest(sha256.Sum256(data))
	if c.known && !c.force && sum == c.row.Digest && serial == c.row.Size {
		return nil, nil
	}
	e.trim(p)
	return &change{Name: c.name, Display: c.display, Serial: serial, ETag: res.ETag, Digest: sum.String(), Project: p}, nil
}

// fresh returns the page's serial and refuses a page below the serial that is
// expected: caches in front of an index serve old pages for a while.
func fresh(res fetch.Result, c candidate) (int64, error) {
	header := res.Header.Get("X-PyPI-Last-Serial")
	serial, err := strconv.ParseInt(header, 10, 64)
	if err != nil {
		return c.serial, nil // upstream sends none: the root's must do
	}
	if serial < c.serial {
		return serial, stale(res.URL, fmt.Errorf("%w: %d is below %d", errSerial, serial, c.serial))
	}
	return serial, nil
}

// trim leaves the newest KeepLatest versions. Files of no readable version stay.
func (e *Engine) trim(p *simpleindex.Project) {
	if e.cfg.KeepLatest <= 0 {
		return
	}
	versions := map[string]string{}
	var all []string
	for _, f := range p.Files {
		if v, ok := simpleindex.FileVersion(p.Name, f.Filename); ok {
			versions[f.Filename] = v
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return -simpleindex.CompareVersions(a, b) })
	all = slices.CompactFunc(all, func(a, b string) bool { return simpleindex.CompareVersions(a, b) == 0 })
	if len(all) <= e.cfg.KeepLatest {
		return
	}
	oldest := all[e.cfg.KeepLatest-1]
	p.Files = slices.DeleteFunc(p.Files, func(f simpleindex.File) bool {
		v, ok := versions[f.Filename]
		return ok && simpleindex.CompareVersions(v, oldest) < 0
	})
	p.Versions = slices.DeleteFunc(p.Versions, func(v string) bool { return simpleindex.CompareVersions(v, oldest) < 0 })
}

// objectPath is where a file of p lies in the tree.
func objectPath(f simpleindex.File) string {
	return simpleindex.ObjectPath(f.URL, f.SHA256, f.Filename)
}

// owned refuses files that are not named after their project: only so do two
// projects never share an object, and one can let go of it without asking the other.
func owned(project string, f simpleindex.File) error {
	if strings.HasPrefix(simpleindex.Normalize(f.Filename), project) {
		return nil
	}
	return &fault.Error{Kind: fault.Hostile, Op: "pypi: plan file", Subject: f.URL,
		Err: fmt.Errorf("%s does not begin with the name of project %s", f.Filename, project), Advice: "the file is left out; tell upstream"}
}
