// Package sdist reads what a source distribution asks for: what it needs to be built, and to run.
//
// A source distribution (PEP 517, PEP 625) is an archive of one directory that
// holds pyproject.toml (PEP 518) and PKG-INFO (core metadata). Archives are
// streamed and bounded; nothing is unpacked.
package sdist

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

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

	Backend     string   // build-system.build-backend, or what PEP 517 says without it
	BackendPath []string // build-system.backend-path
}

// legacy is what is assumed without a build-system table (PEP 518).
var legacy = []string{"setuptools>=40.8.0", "wheel"}

const legacyBackend = "setuptools.build_meta:__legacy__"

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
		return Needs{}, refused(name, err, "what it needs is not known; name it in the requirements")
	}
	return n, nil
}

func refused(name string, err error, advice string) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	if kind == "" {
		kind = fault.Malformed
	}
	return &fault.Error{Kind: kind, Op: "sdist: read", Subject: name, Err: err, Advice: advice}
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

// Newest returns the latest modification time of the files in the archive f,
// whose name tells its form. Errors are those of Read.
func Newest(f *os.File, name string) (newest time.Time, err error) {
	err = each(f, name, func(_ string, info fs.FileInfo, _ opener) error {
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return nil
	})
	return newest, refused(name, err, "have it published anew")
}

func members(f *os.File, name string) (texts, error) {
	found := texts{}
	return found, each(f, name, func(path string, _ fs.FileInfo, open opener) error {
		name, ok := wanted(path)
		if !ok || found[name] != nil {
			return nil
		}
		in, err := open()
		if err != nil {
			return err
		}
		found[name], err = readAll(in)
		return errors.Join(err, in.Close())
	})
}

type opener func() (io.ReadCloser, error)

// each visits the regular files of an archive, in its order.
func each(f *os.File, name string, visit func(path string, info fs.FileInfo, open opener) error) error {
	var in io.Reader
	var err error
	switch kindOf(name) {
	case ".zip":
		return eachOfZip(f, visit)
	case ".tar.gz", ".tgz":
		in, err = gzip.NewReader(f)
	case ".tar.bz2":
		in = bzip2.NewReader(f)
	default:
		err = errors.New("not a form of archive that is read")
	}
	if err != nil {
		return err
	}
	t := tar.NewReader(&bounded{in: in, left: maxUnpacked})
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n >= maxMembers {
			err = tooMany
		}
		if err == nil && h.Typeflag == tar.TypeReg {
			err = visit(h.Name, h.FileInfo(), func() (io.ReadCloser, error) { return io.NopCloser(t), nil })
		}
		if err != nil {
			return err
		}
	}
}

func eachOfZip(f *os.File, visit func(path string, info fs.FileInfo, open opener) error) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, st.Size())
	if err == nil && len(z.File) > maxMembers {
		err = tooMany
	}
	if err != nil {
		return err
	}
	for _, m := range z.File {
		if !m.Mode().IsRegular() {
			continue
		}
		if err := visit(m.Name, m.FileInfo(), m.Open); err != nil {
			return err
		}
	}
	return nil
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

var tooMany = hostile("more than 200,000 files")

func hostile(why string) error {
	return &fault.Error{Kind: fault.Hostile, Op: "sdist: unpack", Err: errors.New(why)}
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
		return Needs{Build: legacy, Backend: legacyBackend}, nil // a setup.py and no more, as of old
	}
	n := Needs{Build: legacy, Backend: legacyBackend}
	if data, ok := t["pyproject.toml"]; ok {
		var project struct {
			BuildSystem *struct {
				Requires []string `toml:"requires"`
				Backend  string   `toml:"build-backend"`
				Path     []string `toml:"backend-path"`
			} `toml:"build-system"`
		}
		if err := toml.Unmarshal(data, &project); err != nil {
			return n, fmt.Errorf("pyproject.toml: %w", err)
		}
		if project.BuildSystem != nil {
			n.Build, n.BackendPath = project.BuildSystem.Requires, project.BuildSystem.Path
			n.Backend = cmp.Or(project.BuildSystem.Backend, legacyBackend)
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
