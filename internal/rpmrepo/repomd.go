package rpmrepo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// MaxRepomd is the largest repomd.xml that is read, in bytes; real ones have some 10 kB.
const MaxRepomd = 8 << 20

// Repomd is a repository's pointer, https://rpm-software-management.github.io/createrepo_c.
type Repomd struct {
	Revision string
	Data     []Data
}

// Data is one data file of a repository. All but Href and Checksum may be absent.
type Data struct {
	Type     string // "primary", "primary_zck", "modules", or any name of upstream's own
	Href     string
	Base     string   // xml:base, "" if it has none
	Checksum Checksum // of the file
	Size     int64    // in bytes, -1 if it is not told
	// Timestamp is when the file was made, in seconds since 1970, 0 if it is not told.
	Timestamp int64
}

// NamesContent reports whether the file's name holds its checksum, so that
// other content would have another name.
func (d Data) NamesContent() bool { return strings.Contains(path.Base(d.Href), d.Checksum.Hex) }

// Timestamp returns the newest timestamp of the data files.
func (r *Repomd) Timestamp() int64 {
	var newest int64
	for _, d := range r.Data {
		newest = max(newest, d.Timestamp)
	}
	return newest
}

// Find returns the first data file of that type.
func (r *Repomd) Find(kind string) (Data, bool) {
	for _, d := range r.Data {
		if d.Type == kind {
			return d, true
		}
	}
	return Data{}, false
}

type xmlRepomd struct {
	XMLName  xml.Name  `xml:"repomd"`
	Revision string    `xml:"revision"`
	Data     []xmlData `xml:"data"`
}

type xmlData struct {
	Type     string `xml:"type,attr"`
	Checksum struct {
		Type string `xml:"type,attr"`
		Hex  string `xml:",chardata"`
	} `xml:"checksum"`
	Location struct {
		Href string `xml:"href,attr"`
		Base string `xml:"http://www.w3.org/XML/1998/namespace base,attr"`
	} `xml:"location"`
	Timestamp string `xml:"timestamp"`
	Size      string `xml:"size"`
}

// maxData bounds how many data files a repository has; openSUSE's have about 100 with all languages.
const maxData = 2000

// ParseRepomd reads a repomd.xml. An entry without location or checksum is
// fault.Malformed: clients would take its file unproved.
func ParseRepomd(text []byte) (*Repomd, error) {
	const name = "repomd.xml"
	var x xmlRepomd
	if err := decodeXML(text, &x); err != nil {
		return nil, malformed(name, err)
	}
	if len(x.Data) == 0 || len(x.Data) > maxData {
		return nil, malformed(name, fmt.Errorf("it names %d data files", len(x.Data)))
	}
	r := &Repomd{Revision: strings.TrimSpace(x.Revision)}
	for _, d := range x.Data {
		sum, err := ParseChecksum(d.Checksum.Type, d.Checksum.Hex)
		switch {
		case d.Type == "" || d.Location.Href == "":
			return nil, malformed(name, errors.New("a data entry without type or location"))
		case err != nil:
			return nil, malformed(name, fmt.Errorf("data %q: %w", d.Type, err))
		}
		out := Data{Type: d.Type, Href: d.Location.Href, Base: d.Location.Base, Checksum: sum, Size: -1}
		if n, err := strconv.ParseInt(strings.TrimSpace(d.Size), 10, 64); err == nil && n >= 0 {
			out.Size = n
		}
		if t, err := strconv.ParseFloat(strings.TrimSpace(d.Timestamp), 64); err == nil && t > 0 && t < 1<<40 {
			out.Timestamp = int64(t)
		}
		r.Data = append(r.Data, out)
	}
	return r, nil
}

// decodeXML reads a small document, which must have no document type and end where its root does.
func decodeXML(text []byte, into any) error {
	if len(text) > MaxRepomd {
		return fmt.Errorf("it is larger than %d bytes", MaxRepomd)
	}
	if bytes.Contains(text, []byte("<!DOCTYPE")) || bytes.Contains(text, []byte("<!ENTITY")) {
		return errNoDTD
	}
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if c := strings.ToLower(charset); c == "utf-8" || c == "us-ascii" || c == "ascii" {
			return r, nil
		}
		return nil, fmt.Errorf("encoding %.40q is not UTF-8", charset)
	}
	if err := dec.Decode(into); err != nil {
		return err
	}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, more := token.(xml.StartElement); more {
			return errors.New("a second document follows the first")
		}
	}
}

// Jump says what is absurd in the age of r: a timestamp more than a day ahead of
// now, or a numeric revision that is beyond that and a hundred times the one before,
// "" if nothing is. Once believed, all that comes later is Older. Some count revisions,
// others write the time as a number of seconds or as YYYYMMDDhhmmss.
func (r *Repomd) Jump(revision string, timestamp int64, now time.Time) string {
	const hundredCenturies = 100_000_000_000_000_000 // as YYYYMMDDhhmmss
	day := now.Add(24 * time.Hour).Unix()
	if at := r.Timestamp(); at > day && timestamp <= day {
		return fmt.Sprintf("timestamp %s is in the future", time.Unix(at, 0).UTC().Format(time.DateOnly))
	}
	n, err := strconv.ParseInt(r.Revision, 10, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && n > hundredCenturies {
		return fmt.Sprintf("revision %.40q", r.Revision)
	}
	old, _ := strconv.ParseInt(revision, 10, 64)
	if err == nil && old > 0 && n > max(day, min(old, hundredCenturies)*100) {
		return fmt.Sprintf("revision %d after %d", n, old)
	}
	return ""
}

// Older reports whether r was made before the repository whose revision and
// newest timestamp are given. Two numeric revisions are compared; if that tells
// nothing, the timestamps are. Without either nothing is older.
func (r *Repomd) Older(revision string, timestamp int64) bool {
	a, errA := strconv.ParseInt(r.Revision, 10, 64)
	b, errB := strconv.ParseInt(revision, 10, 64)
	if errA == nil && errB == nil && a > 0 && b > 0 && a != b {
		return a < b
	}
	now := r.Timestamp()
	return now > 0 && timestamp > 0 && now < timestamp
}
