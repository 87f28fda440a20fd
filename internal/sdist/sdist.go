// Package sdist reads what a source distribution asks for: what it needs to be built, and to run.
//
// A source distribution (PEP 517, PEP 625) is an archive of one directory that
// holds pyproject.toml (PEP 518) and PKG-INFO (core metadata). Archives are
// streamed and bounded; nothing is unpacked.
package sdist

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

const (
	maxMember   = 4 << 20 // bytes of one file that is read
	maxUnpacked = 4 << 30 // bytes of the whole, unpacked
	maxMembers  = 200_000
)

// Needs are requirements as written (PEP 508).
type Needs struct {
	Build []string // build-system.requires, or what PEP 518 says without it
	Run   []string // Requires-Dist, as far as the archive tells before it is built
}

// legacy is what is assumed without a build-system table (PEP 518).
var legacy = []string{"setuptools>=40.8.0", "wheel"}

// IsName reports whether a file name is that of a source distribution that Read knows.
func IsName(name string) bool { return kindOf(name) != "" }

func kindOf(name string) string {
	for _, suffix := range []string{".tar.gz", ".tgz", ".tar.bz2", ".zip"} {
		if strings.HasSuffix(name, suffix) {
			return suffix
		}
	}
	return ""
}

// Read reads the archive f, whose name tells its form. What is no archive, or
// no source distribution, is fault.Malformed; a bomb is fault.Hostile.
func Read(f *os.File, name string) (Needs, error) {
	found, err := members(f, name)
	var n Needs
	if err == nil {
		n, err = found.needs()
	}
	if err != nil {
		kind := fault.KindOf(err)
		if kind == "" {
			kind = fault.Malformed
		}
		return Needs{}, &fault.Error{Kind: kind, Op: "sdist: read", Subject: name, Err: err,
			Advice: "what it needs is not known; name it in the requirements"}
	}
	return n, nil
}

// texts are the files of interest by name below the archive's directory.
type texts map[string][]byte

// wanted returns the name below the top directory, if it is one of interest.
func wanted(path string) (name string, ok bool) {
	path = strings.TrimPrefix(path, "./")
	_, name, ok = strings.Cut(path, "/")
	if !ok {
		return "", false
	}
	dir, base, nested := strings.Cut(name, "/")
	switch {
	case name == "pyproject.toml", name == "PKG-INFO":
		return name, true
	case nested && strings.HasSuffix(dir, ".egg-info") && base == "requires.txt":
		return "requires.txt", true
	}
	return "", false
}

func members(f *os.File, name string) (texts, error) {
	if kindOf(name) == ".zip" {
		return zipMembers(f)
	}
	var in io.Reader
	var err error
	switch kindOf(name) {
	case ".tar.gz", ".tgz":
		in, err = gzip.NewReader(f)
	case ".tar.bz2":
		in = bzip2.NewReader(f)
	default:
		err = errors.New("not a form of archive that is read")
	}
	if err != nil {
		return nil, err
	}
	return tarMembers(&bounded{in: in, left: maxUnpacked})
}

// bounded ends a stream that is too long with fault.Hostile.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, hostile("more than 4 GB unpacked")
	}
	return n, err
}

func hostile(why string) error {
	return &fault.Error{Kind: fault.Hostile, Op: "sdist: unpack", Err: errors.New(why)}
}

func tarMembers(in io.Reader) (texts, error) {
	found := texts{}
	t := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if n >= maxMembers {
			return nil, hostile("more than 200,000 files")
		}
		if name, ok := wanted(h.Name); ok && h.Typeflag == tar.TypeReg && found[name] == nil {
			if found[name], err = readAll(t); err != nil {
				return nil, err
			}
		}
	}
}

func zipMembers(f *os.File) (texts, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		return nil, err
	}
	found := texts{}
	for _, m := range z.File {
		name, ok := wanted(m.Name)
		if !ok || found[name] != nil {
			continue
		}
		in, err := m.Open()
		if err != nil {
			return nil, err
		}
		found[name], err = readAll(in)
		if err = errors.Join(err, in.Close()); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func readAll(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxMember+1))
	if err == nil && len(data) > maxMember {
		err = hostile("a file of metadata is larger than 4 MB")
	}
	if data == nil {
		data = []byte{}
	}
	return data, err
}

func (t texts) needs() (Needs, error) {
	if len(t) == 0 {
		return Needs{Build: legacy}, nil // a setup.py and no more, as of old
	}
	n := Needs{Build: legacy}
	if data, ok := t["pyproject.toml"]; ok {
		var project struct {
			BuildSystem *struct {
				Requires []string `toml:"requires"`
			} `toml:"build-system"`
		}
		if err := toml.Unmarshal(data, &project); err != nil {
			return n, fmt.Errorf("pyproject.toml: %w", err)
		}
		if project.BuildSystem != nil {
			n.Build = project.BuildSystem.Requires
		}
	}
	if data, ok := t["PKG-INFO"]; ok {
		if m, err := wheel.ParseMetadata(data); err == nil {
			n.Run = m.RequiresDist
		}
	}
	if len(n.Run) == 0 {
		n.Run = eggRequires(string(t["requires.txt"]))
	}
	return n, nil
}

// eggRequires reads setuptools' requires.txt: lines below "[extra:marker]".
func eggRequires(text string) (out []string) {
	condition := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if section, ok := strings.CutPrefix(line, "["); ok {
			extra, marker, _ := strings.Cut(strings.TrimSuffix(section, "]"), ":")
			condition = marker
			if extra != "" {
				condition = `extra == "` + extra + `"`
				if marker != "" {
					condition = "(" + marker + ") and " + condition
				}
			}
			continue
		}
		if line == "" {
			continue
		}
		if condition != "" {
			line += " ; " + condition
		}
		out = append(out, line)
	}
	return out
}
