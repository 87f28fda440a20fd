package simpleindex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// Status is a project's standing (PEP 792).
type Status string

// The statuses of PEP 792. A page that names none is active.
const (
	Active      Status = "active"
	Archived    Status = "archived"
	Quarantined Status = "quarantined" // offers no files; must be hidden at once
	Deprecated  Status = "deprecated"
)

// Project is a project page.
type Project struct {
	Name         string // normalised
	Status       Status
	StatusReason string
	LastSerial   int64     // 0 if the page names none
	Versions     []string  // as the page lists them (PEP 700)
	Files        []File    // in the page's order
	Refused      []Refusal // entries that were passed over
	HTML         bool      // it was read from HTML: no sizes, no versions, no times
}

// Refusal is an entry of a page that cannot be used, alone.
type Refusal struct {
	Filename string // as the page writes it; "" if it has none that can be read
	Err      error  // fault.Malformed, fault.Hostile, or fault.Unproved if no SHA-256 is given
}

// File is one file of a project.
type File struct {
	Filename       string
	URL            string            // absolute
	SHA256         string            // lower-case hexadecimal
	Hashes         map[string]string // the others by algorithm, as the page gives them; nil if none
	Size           int64             // bytes, -1 if the page does not say
	UploadTime     time.Time         // zero if the page does not say
	RequiresPython string
	Yanked         bool
	YankedReason   string
	CoreMetadata   CoreMetadata
	Provenance     string // absolute URL, "" if none
}

// CoreMetadata says whether <url>.metadata exists (PEP 714).
type CoreMetadata struct {
	Available bool
	SHA256    string // "" if the page gives no digest of it
}

type projectJSON struct {
	Meta struct {
		APIVersion string `json:"api-version"`
		LastSerial serial `json:"_last-serial"`
	} `json:"meta"`
	Name   string `json:"name"`
	Status *struct {
		Status Status `json:"status"`
		Reason string `json:"reason"`
	} `json:"project-status"`
	Versions []any              `json:"versions"`
	Files    *[]json.RawMessage `json:"files"`
}

// ParseProject reads a project page in JSON (PEP 691). name is the project that
// was asked for, pageURL where the page was fetched from; relative URLs start
// there. A page of another project, of another major version of the API, or
// without a list of files is fault.Malformed. An entry that cannot be used is
// passed over, see Refusal: that is a fact about one file. The same entry twice
// counts once; one name with two digests is refused.
func ParseProject(data []byte, name, pageURL string) (*Project, error) {
	return parsed(parseProject, data, name, pageURL)
}

// ParsePage reads a project page in JSON or, if it begins with "<", in HTML.
func ParsePage(data []byte, name, pageURL string) (*Project, error) {
	if IsHTML(data) {
		return parsed(parseHTML, data, name, pageURL)
	}
	return parsed(parseProject, data, name, pageURL)
}

func parsed(parse func(data []byte, name, pageURL string) (*Project, error), data []byte, name, pageURL string) (*Project, error) {
	p, err := parse(data, name, pageURL)
	if err != nil {
		kind := fault.KindOf(err)
		if kind == "" {
			kind = fault.Malformed
		}
		return nil, &fault.Error{Kind: kind, Op: "simpleindex: parse project", Subject: pageURL, Err: err}
	}
	return p, nil
}

func parseProject(data []byte, name, pageURL string) (*Project, error) {
	base, err := url.Parse(pageURL)
	if err != nil {
		return nil, err
	}
	var page projectJSON
	if err := json.Unmarshal(data, &page); err != nil {
		return nil, notJSON(data, err)
	}
	if err := checkVersion(page.Meta.APIVersion); err != nil {
		return nil, err
	}
	if !ValidName(page.Name) || Normalize(page.Name) != Normalize(name) {
		return nil, fmt.Errorf("page is of project %.100q", page.Name)
	}
	if page.Files == nil {
		return nil, errors.New("no list of files")
	}
	p := &Project{Name: Normalize(page.Name), Status: Active, LastSerial: int64(page.Meta.LastSerial), Files: make([]File, 0, len(*page.Files))}
	for _, v := range page.Versions {
		if text, ok := v.(string); ok {
			p.Versions = append(p.Versions, text)
		}
	}
	if page.Status != nil && page.Status.Status != "" {
		p.Status, p.StatusReason = page.Status.Status, page.Status.Reason
	}
	list := newListing(p)
	for _, raw := range *page.Files {
		list.add(readFile(raw, base))
	}
	list.end()
	return p, nil
}

// listing collects the files of a page.
type listing struct {
	p    *Project
	seen map[string]int  // index in p.Files by name
	bad  map[string]bool // names with two digests
}

func newListing(p *Project) *listing {
	return &listing{p: p, seen: map[string]int{}, bad: map[string]bool{}}
}

func (l *listing) add(f File, err error) {
	i, twice := l.seen[f.Filename]
	switch {
	case err != nil:
		if kind := fault.KindOf(err); kind == "" {
			err = &fault.Error{Kind: fault.Malformed, Op: "simpleindex: read file", Subject: fmt.Sprintf("%.100q", f.Filename), Err: err}
		}
		l.p.Refused = append(l.p.Refused, Refusal{Filename: f.Filename, Err: err})
	case !twice:
		l.seen[f.Filename] = len(l.p.Files)
		l.p.Files = append(l.p.Files, f)
	case l.p.Files[i].SHA256 != f.SHA256 && !l.bad[f.Filename]:
		l.bad[f.Filename] = true
		l.p.Refused = append(l.p.Refused, Refusal{Filename: f.Filename, Err: &fault.Error{Kind: fault.Malformed, Op: "simpleindex: read file",
			Subject: fmt.Sprintf("%.100q", f.Filename), Err: errors.New("it is listed twice, with two digests")}})
	}
}

// end takes out what turned out to be in doubt.
func (l *listing) end() {
	if len(l.bad) > 0 {
		l.p.Files = slices.DeleteFunc(l.p.Files, func(f File) bool { return l.bad[f.Filename] })
	}
}

// checkVersion accepts every minor version of API 1 (PEP 629).
func checkVersion(v string) error {
	if major, _, _ := strings.Cut(v, "."); major != "1" {
		return fmt.Errorf("api-version %.20q, want 1.x", v)
	}
	return nil
}

// notJSON tells a captive portal from a damaged page.
func notJSON(data []byte, err error) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '<' {
		return errors.New("HTML instead of JSON: does a portal or proxy answer in upstream's place?")
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
