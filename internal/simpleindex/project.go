package simpleindex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
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
	LastSerial   int64    // 0 if the page names none
	Versions     []string // as the page lists them (PEP 700)
	Files        []File   // in the page's order
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
		LastSerial int64  `json:"_last-serial"`
	} `json:"meta"`
	Name   string `json:"name"`
	Status *struct {
		Status Status `json:"status"`
		Reason string `json:"reason"`
	} `json:"project-status"`
	Versions []string    `json:"versions"`
	Files    *[]fileJSON `json:"files"`
}

type fileJSON struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	Size           *int64            `json:"size"`
	UploadTime     string            `json:"upload-time"`
	RequiresPython *string           `json:"requires-python"`
	Yanked         json.RawMessage   `json:"yanked"`
	CoreMetadata   json.RawMessage   `json:"core-metadata"`
	DistInfo       json.RawMessage   `json:"data-dist-info-metadata"` // the name before PEP 714
	Provenance     *string           `json:"provenance"`
}

// ParseProject reads a project page in JSON (PEP 691). name is the project that
// was asked for, pageURL where the page was fetched from; relative URLs start
// there. A page of another project, of another major version of the API, without
// a list of files, with a file twice, without SHA-256 or with an unreadable
// value is fault.Malformed; a file name that is not one safe path element, or a
// URL that is not http or https, is fault.Hostile.
func ParseProject(data []byte, name, pageURL string) (*Project, error) {
	const op = "simpleindex: parse project"
	p, err := parseProject(data, name, pageURL)
	if err != nil {
		kind := fault.KindOf(err)
		if kind == "" {
			kind = fault.Malformed
		}
		return nil, &fault.Error{Kind: kind, Op: op, Subject: pageURL, Err: err}
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
	p := &Project{Name: Normalize(page.Name), Status: Active, LastSerial: page.Meta.LastSerial, Versions: page.Versions}
	if page.Status != nil && page.Status.Status != "" {
		p.Status, p.StatusReason = page.Status.Status, page.Status.Reason
	}
	seen := make(map[string]bool, len(*page.Files))
	p.Files = make([]File, 0, len(*page.Files))
	for _, raw := range *page.Files {
		f, err := raw.file(base)
		if err != nil {
			return nil, fmt.Errorf("file %.100q: %w", raw.Filename, err)
		}
		if seen[f.Filename] {
			return nil, fmt.Errorf("file %.100q is listed twice", f.Filename)
		}
		seen[f.Filename] = true
		p.Files = append(p.Files, f)
	}
	return p, nil
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

func (raw fileJSON) file(base *url.URL) (File, error) {
	f := File{Filename: raw.Filename, Size: -1}
	if err := checkFilename(raw.Filename); err != nil {
		return f, err
	}
	var err error
	if f.URL, err = resolve(base, raw.URL); err != nil {
		return f, err
	}
	if err := f.setHashes(raw.Hashes); err != nil {
		return f, err
	}
	if raw.Size != nil {
		if f.Size = *raw.Size; f.Size < 0 {
			return f, fmt.Errorf("size %d", f.Size)
		}
	}
	if raw.UploadTime != "" {
		if f.UploadTime, err = time.Parse(time.RFC3339Nano, raw.UploadTime); err != nil {
			return f, fmt.Errorf("upload-time: %w", err)
		}
		f.UploadTime = f.UploadTime.UTC()
	}
	if raw.RequiresPython != nil {
		f.RequiresPython = *raw.RequiresPython
	}
	if f.Yanked, f.YankedReason, err = parseYanked(raw.Yanked); err != nil {
		return f, err
	}
	metadata := raw.CoreMetadata
	if metadata == nil {
		metadata = raw.DistInfo
	}
	if f.CoreMetadata, err = parseCoreMetadata(metadata); err != nil {
		return f, err
	}
	if raw.Provenance != nil && *raw.Provenance != "" {
		f.Provenance, err = resolve(base, *raw.Provenance)
	}
	return f, err
}

func (f *File) setHashes(hashes map[string]string) error {
	for algorithm, digest := range hashes {
		if algorithm == "sha256" {
			f.SHA256 = strings.ToLower(digest)
			continue
		}
		if f.Hashes == nil {
			f.Hashes = map[string]string{}
		}
		f.Hashes[algorithm] = digest
	}
	if !validSHA256(f.SHA256) {
		return fmt.Errorf("sha256 %.80q", f.SHA256)
	}
	return nil
}

func validSHA256(v string) bool {
	return len(v) == 64 && !strings.ContainsFunc(v, func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}

func resolve(base *url.URL, ref string) (string, error) {
	u, err := base.Parse(ref)
	if err != nil || ref == "" {
		return "", fmt.Errorf("url %.200q is not readable", ref)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", &fault.Error{Kind: fault.Hostile, Op: "simpleindex: check URL", Subject: fmt.Sprintf("%.200q", u.Redacted()),
			Err: errors.New("neither http nor https, or with credentials")}
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String(), nil
}

// parseYanked reads a boolean or a reason; a reason, even an empty one, means yes.
func parseYanked(raw json.RawMessage) (yanked bool, reason string, err error) {
	switch {
	case raw == nil, string(raw) == "null":
		return false, "", nil
	case raw[0] == '"':
		err = json.Unmarshal(raw, &reason)
		return true, reason, err
	}
	if err := json.Unmarshal(raw, &yanked); err != nil {
		return false, "", fmt.Errorf("yanked: %w", err)
	}
	return yanked, "", nil
}

// parseCoreMetadata reads a boolean or a map of digests.
func parseCoreMetadata(raw json.RawMessage) (CoreMetadata, error) {
	if raw == nil || string(raw) == "null" {
		return CoreMetadata{}, nil
	}
	var c CoreMetadata
	if raw[0] != '{' {
		if err := json.Unmarshal(raw, &c.Available); err != nil {
			return c, fmt.Errorf("core-metadata: %w", err)
		}
		return c, nil
	}
	var hashes map[string]string
	if err := json.Unmarshal(raw, &hashes); err != nil {
		return c, fmt.Errorf("core-metadata: %w", err)
	}
	c = CoreMetadata{Available: true, SHA256: strings.ToLower(hashes["sha256"])}
	if c.SHA256 != "" && !validSHA256(c.SHA256) {
		return c, fmt.Errorf("core-metadata: sha256 %.80q", c.SHA256)
	}
	return c, nil
}
