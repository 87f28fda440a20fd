package rpmrepo

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Metalink says which repomd.xml is the right one and who has it,
// https://www.metalinker.org with MirrorManager's alternates.
type Metalink struct {
	// Versions are the newest repomd.xml, then older ones that are still good.
	Versions []Version
	// Bases are the URLs of the repository's directory, most preferred first, without a slash at the end.
	Bases []string
	// MaxConnections is how many a client may open, 0 if it is not told.
	MaxConnections int
}

// Version tells one repomd.xml by its checksums, the strongest of which counts.
type Version struct {
	Size      int64
	Checksums []Checksum
}

type xmlVersion struct {
	Size         int64 `xml:"size"`
	Verification struct {
		Hash []struct {
			Type string `xml:"type,attr"`
			Hex  string `xml:",chardata"`
		} `xml:"hash"`
	} `xml:"verification"`
}

type xmlMetalink struct {
	XMLName xml.Name `xml:"metalink"`
	Files   []struct {
		Name string `xml:"name,attr"`
		xmlVersion
		Alternates []xmlVersion `xml:"alternates>alternate"`
		Resources  struct {
			Max  int `xml:"maxconnections,attr"`
			URLs []struct {
				Preference int    `xml:"preference,attr"`
				URL        string `xml:",chardata"`
			} `xml:"url"`
		} `xml:"resources"`
	} `xml:"files>file"`
}

const pointer = "/repodata/repomd.xml"

// ParseMetalink reads a metalink. One that names no server of http or https,
// or no checksum, is fault.Malformed.
func ParseMetalink(data []byte) (*Metalink, error) {
	var x xmlMetalink
	if err := decodeXML(data, &x); err != nil {
		return nil, malformed("metalink", err)
	}
	for _, f := range x.Files {
		if f.Name != "repomd.xml" {
			continue
		}
		m := &Metalink{MaxConnections: f.Resources.Max}
		for _, v := range append([]xmlVersion{f.xmlVersion}, f.Alternates...) {
			if out := v.version(); len(out.Checksums) > 0 {
				m.Versions = append(m.Versions, out)
			}
		}
		slices.SortStableFunc(f.Resources.URLs, func(a, b struct {
			Preference int    `xml:"preference,attr"`
			URL        string `xml:",chardata"`
		}) int {
			return cmp.Compare(b.Preference, a.Preference)
		})
		for _, u := range f.Resources.URLs {
			if base, ok := strings.CutSuffix(strings.TrimSpace(u.URL), pointer); ok && isHTTP(base) && !slices.Contains(m.Bases, base) {
				m.Bases = append(m.Bases, base)
			}
		}
		if len(m.Versions) == 0 || len(m.Bases) == 0 {
			return nil, malformed("metalink", errors.New("it names no checksum, or no server of http or https"))
		}
		return m, nil
	}
	return nil, malformed("metalink", errors.New("it does not name repomd.xml"))
}

func (v xmlVersion) version() Version {
	out := Version{Size: v.Size}
	for _, h := range v.Verification.Hash {
		if c, err := ParseChecksum(h.Type, strings.TrimSpace(h.Hex)); err == nil {
			out.Checksums = append(out.Checksums, c)
		}
	}
	slices.SortFunc(out.Checksums, func(a, b Checksum) int { return cmp.Compare(len(b.Hex), len(a.Hex)) })
	return out
}

// Names reports whether data is one of the versions, by the strongest checksum of each.
func (m *Metalink) Names(data []byte) bool {
	return slices.ContainsFunc(m.Versions, func(v Version) bool {
		h := v.Checksums[0].New()
		h.Write(data)
		return fmt.Sprintf("%x", h.Sum(nil)) == v.Checksums[0].Hex
	})
}

// ParseMirrorList reads a list of servers: URLs of http or https and comments,
// a line each. Other lines are passed over, as clients do; a list without a
// server is fault.Malformed.
func ParseMirrorList(data []byte) ([]string, error) {
	var bases []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(strings.TrimSpace(line), "/")
		if isHTTP(line) && !slices.Contains(bases, line) {
			bases = append(bases, line)
		}
	}
	if len(bases) == 0 {
		return nil, malformed("mirror list", errors.New("it names no server of http or https"))
	}
	return bases, nil
}

// IsMetalink reports whether what a mirror list's URL answered is a metalink.
func IsMetalink(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 4096)], []byte("<metalink"))
}

func isHTTP(s string) bool {
	return (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")) && !strings.ContainsAny(s, " \t") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
