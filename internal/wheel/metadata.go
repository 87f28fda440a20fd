package wheel

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"mirrorcycle/internal/fault"
)

// maxMetadata bounds METADATA; the largest on the public index are below 2 MB.
const maxMetadata = 16 << 20

// Metadata is what the program needs of a METADATA or PKG-INFO file (core metadata).
type Metadata struct {
	Version        string // Metadata-Version
	Name           string
	Release        string // Version, of the project
	RequiresPython string
	RequiresDist   []string
	Extras         []string // Provides-Extra
	Dynamic        []string // fields that a build may change (PEP 643)
}

// ParseMetadata reads the header of core metadata. What has no Name or no
// Version is fault.Malformed.
func ParseMetadata(data []byte) (Metadata, error) {
	h := header(data)
	m := Metadata{Version: h.get("metadata-version"), Name: h.get("name"), Release: h.get("version"), RequiresPython: h.get("requires-python"),
		RequiresDist: h["requires-dist"], Extras: h["provides-extra"], Dynamic: h["dynamic"]}
	if m.Name == "" || m.Release == "" {
		return Metadata{}, &fault.Error{Kind: fault.Malformed, Op: "wheel: parse metadata", Err: errors.New("no Name or no Version")}
	}
	return m, nil
}

// fields are the lines of a header by name in lower case.
type fields map[string][]string

func (f fields) get(name string) string {
	if len(f[name]) == 0 {
		return ""
	}
	return f[name][0]
}

// header reads fields as Python's email parser does, which wrote them: up to an
// empty line, or one that is no field; indented lines go on with the last one.
func header(data []byte) fields {
	h := fields{}
	name := ""
	var value strings.Builder // grows with its lines: added as texts they would be copied once per line
	end := func() {
		if name != "" {
			h[name] = append(h[name], value.String())
		}
		value.Reset()
	}
	for line := range strings.Lines(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && (line[0] == ' ' || line[0] == '\t') {
			value.WriteString(" " + strings.TrimSpace(line))
			continue
		}
		next, text, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(next, " \t") {
			break
		}
		end()
		name = strings.ToLower(next)
		value.WriteString(strings.TrimSpace(text))
	}
	end()
	return h
}

// ReadMetadata returns the METADATA of a wheel of that size in bytes (PEP 427):
// the member METADATA of the one top-level directory that ends in .dist-info.
// A wheel without exactly one, or with one over 16 MB, is fault.Malformed;
// name names it in the error. Nothing else of the wheel is looked at.
func ReadMetadata(wheel io.ReaderAt, size int64, name string) ([]byte, error) {
	data, err := readMetadata(wheel, size)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "wheel: read metadata", Subject: name, Err: err,
			Advice: "it is served without metadata; clients read the wheel itself"}
	}
	return data, nil
}

func readMetadata(wheel io.ReaderAt, size int64) ([]byte, error) {
	z, err := zip.NewReader(wheel, size)
	if err != nil {
		return nil, err
	}
	var found *zip.File
	for _, m := range z.File {
		dir, name, ok := strings.Cut(m.Name, "/")
		if !ok || name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		if found != nil {
			return nil, errors.New("two METADATA files")
		}
		found = m
	}
	if found == nil {
		return nil, errors.New("no METADATA file")
	}
	return readMember(found, maxMetadata)
}

// readMember returns a member's content, if it is not larger than limit.
func readMember(m *zip.File, limit int64) ([]byte, error) {
	in, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", m.Name, limit)
	}
	return data, err
}
