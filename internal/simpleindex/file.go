package simpleindex

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// fileJSON holds every value as it is: one of an odd type is no reason to lose
// the page.
type fileJSON struct {
	Filename       json.RawMessage `json:"filename"`
	URL            json.RawMessage `json:"url"`
	Hashes         json.RawMessage `json:"hashes"`
	Size           json.RawMessage `json:"size"`
	UploadTime     json.RawMessage `json:"upload-time"`
	RequiresPython json.RawMessage `json:"requires-python"`
	Yanked         json.RawMessage `json:"yanked"`
	CoreMetadata   json.RawMessage `json:"core-metadata"`
	DistInfo       json.RawMessage `json:"data-dist-info-metadata"` // the name before PEP 714
	Provenance     json.RawMessage `json:"provenance"`
}

// readFile reads an entry. Name, URL and SHA-256 must be right; what else cannot
// be read is as if it were not there, but for yanked, which forbids something.
func readFile(data json.RawMessage, base *url.URL) (File, error) {
	var raw fileJSON
	f := File{Size: -1}
	if err := json.Unmarshal(data, &raw); err != nil {
		return f, err
	}
	f.Filename = text(raw.Filename)
	if err := checkFilename(f.Filename); err != nil {
		return f, err
	}
	var err error
	if f.URL, err = resolve(base, text(raw.URL)); err != nil {
		return f, err
	}
	var hashes map[string]json.RawMessage
	_ = json.Unmarshal(raw.Hashes, &hashes) // none is told below
	if err := f.setHashes(hashes); err != nil {
		return f, err
	}
	var size int64
	if json.Unmarshal(raw.Size, &size) == nil && size > 0 {
		f.Size = size
	}
	f.UploadTime = readTime(text(raw.UploadTime))
	f.RequiresPython = text(raw.RequiresPython)
	if f.Yanked, f.YankedReason, err = parseYanked(raw.Yanked); err != nil {
		return f, err
	}
	metadata := raw.CoreMetadata
	if metadata == nil {
		metadata = raw.DistInfo
	}
	f.CoreMetadata = parseCoreMetadata(metadata)
	if link := text(raw.Provenance); link != "" {
		f.Provenance, _ = resolve(base, link)
	}
	return f, nil
}

// text is a JSON value that is text, "" for any other.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// readTime reads an upload time: RFC 3339, as PEP 700 asks, or without the
// offset, as older indexes write it. Any other is none.
func readTime(v string) time.Time {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if at, err := time.Parse(form, v); err == nil && at.Year() >= 1970 {
			return at.UTC()
		}
	}
	return time.Time{}
}

func (f *File) setHashes(hashes map[string]json.RawMessage) error {
	for algorithm, raw := range hashes {
		digest := text(raw)
		if algorithm == "sha256" {
			f.SHA256 = strings.ToLower(digest)
			continue
		}
		if f.Hashes == nil {
			f.Hashes = map[string]string{}
		}
		f.Hashes[algorithm] = digest
	}
	return f.proved()
}

// proved refuses a file that nothing proves.
func (f *File) proved() error {
	if validSHA256(f.SHA256) {
		return nil
	}
	err := errors.New("the page gives no SHA-256 of it")
	if f.SHA256 != "" {
		err = fmt.Errorf("sha256 %.80q", f.SHA256)
	} else if f.Hashes["md5"] != "" {
		err = errors.New("the page gives no SHA-256 of it, only MD5, which proves nothing")
	}
	return &fault.Error{Kind: fault.Unproved, Op: "simpleindex: read file", Subject: fmt.Sprintf("%.100q", f.Filename), Err: err}
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

// parseCoreMetadata reads a boolean or a map of digests. What cannot be read
// means that there is none: a mirror takes METADATA out of the wheel.
func parseCoreMetadata(raw json.RawMessage) (c CoreMetadata) {
	if json.Unmarshal(raw, &c.Available) == nil {
		return c
	}
	var hashes map[string]string
	if json.Unmarshal(raw, &hashes) != nil {
		return CoreMetadata{}
	}
	c = CoreMetadata{Available: true, SHA256: strings.ToLower(hashes["sha256"])}
	if c.SHA256 != "" && !validSHA256(c.SHA256) {
		return CoreMetadata{}
	}
	return c
}

// serial is a number as JSON has it: mirrors write text too. What is neither is none.
type serial int64

func (n *serial) UnmarshalJSON(data []byte) error {
	var number int64
	if json.Unmarshal(data, &number) != nil {
		number = SerialOf(text(data))
	}
	*n = serial(max(number, 0))
	return nil
}

// SerialOf reads a serial that came as text, as in X-PyPI-Last-Serial; 0 for what is none.
func SerialOf(v string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
