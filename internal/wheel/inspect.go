package wheel

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

// Bounds of a wheel that is looked into.
const (
	maxMembers  = 200_000
	maxUnpacked = 8 << 30  // bytes of all members
	maxRecord   = 64 << 20 // bytes of RECORD
)

// Wheel is a wheel whose parts agree.
type Wheel struct {
	Filename Filename
	Metadata Metadata
	RawMeta  []byte // METADATA as it stands in the wheel
	Pure     bool   // Root-Is-Purelib: no compiled code, by its own word
	Files    int
	Unpacked int64 // bytes of all files
}

// Inspect reads a wheel of that size in bytes and checks that its file name, the
// name of its .dist-info, METADATA, WHEEL (tags, build) and RECORD say the same:
// every file is listed with its digest and size, and nothing else is. WHEEL may
// leave the build tag out, as PEP 427 lets a wheel get one by its name only.
// Parts that disagree are fault.Unproved.
func Inspect(r io.ReaderAt, size int64, filename string) (*Wheel, error) {
	w, err := inspect(r, size, filename)
	if err != nil {
		kind := fault.KindOf(err)
		if kind == "" {
			kind = fault.Unproved
		}
		return nil, &fault.Error{Kind: kind, Op: "wheel: inspect", Subject: fmt.Sprintf("%.200q", filename), Err: err}
	}
	return w, nil
}

func inspect(r io.ReaderAt, size int64, filename string) (*Wheel, error) {
	f, err := ParseFilename(filename)
	if err != nil {
		return nil, err
	}
	a, err := open(r, size)
	if err != nil {
		return nil, err
	}
	w := &Wheel{Filename: f, Files: len(a.files), Unpacked: a.unpacked}
	if err := a.checkDistInfo(f); err != nil {
		return nil, err
	}
	if w.RawMeta, err = a.read("METADATA", maxMetadata); err != nil {
		return nil, err
	}
	if w.Metadata, err = ParseMetadata(w.RawMeta); err != nil {
		return nil, err
	}
	if !SameName(f.Name, w.Metadata.Name) {
		return nil, fmt.Errorf("METADATA is of project %.100q", w.Metadata.Name)
	}
	if !SameVersion(f.Version, w.Metadata.Release) {
		return nil, fmt.Errorf("METADATA is of version %.100q", w.Metadata.Release)
	}
	if w.Pure, err = a.checkWheel(f); err != nil {
		return nil, err
	}
	return w, a.checkRecord()
}

// IsFor checks that the wheel is what was asked for: that project, that version,
// and, unless the platform is the zero value, tags that it can use. If not: fault.Unproved.
func (w *Wheel) IsFor(name, version string, p Platform) error {
	var err error
	switch {
	case !SameName(w.Filename.Name, name):
		err = fmt.Errorf("of project %.100q, want %.100q", w.Filename.Name, name)
	case !SameVersion(w.Filename.Version, version):
		err = fmt.Errorf("of version %.100q, want %.100q", w.Filename.Version, version)
	case p != (Platform{}) && !Compatible(w.Filename.Tags, p):
		err = fmt.Errorf("tags %s do not fit python %s on %s", compress(w.Filename.Tags), p.Python, p.Machine)
	default:
		return nil
	}
	return &fault.Error{Kind: fault.Unproved, Op: "wheel: compare with what was asked for", Subject: w.Filename.String(), Err: err}
}

// SameName compares project names as indexes do (PEP 503).
func SameName(a, b string) bool { return simpleindex.Normalize(a) == simpleindex.Normalize(b) }

// SameVersion compares versions as PEP 440 does; a file name has "_" for "-" and
// may have it for "+", which is not taken for equal.
func SameVersion(a, b string) bool {
	a, b = strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-")
	return simpleindex.ValidVersion(a) && simpleindex.ValidVersion(b) && simpleindex.CompareVersions(a, b) == 0
}

// archive is a wheel whose member names are safe.
type archive struct {
	files    map[string]*zip.File
	order    []*zip.File
	dist     string // the .dist-info directory
	unpacked int64
}

func open(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, errors.Join(fault.Malformed, err)
	}
	if len(z.File) > maxMembers {
		return nil, fmt.Errorf("%w: %d members", fault.Hostile, len(z.File))
	}
	a := &archive{files: map[string]*zip.File{}}
	var unpacked uint64
	for _, m := range z.File {
		if err := safe(m); err != nil {
			return nil, err
		}
		if strings.HasSuffix(m.Name, "/") {
			continue
		}
		if a.files[m.Name] != nil {
			return nil, fmt.Errorf("%.200q is there twice", m.Name)
		}
		a.files[m.Name] = m
		a.order = append(a.order, m)
		if unpacked += m.UncompressedSize64; m.UncompressedSize64 > maxUnpacked || unpacked > maxUnpacked {
			return nil, fmt.Errorf("%w: more than %d bytes unpacked", fault.Hostile, int64(maxUnpacked))
		}
		dir, _, ok := strings.Cut(m.Name, "/")
		if ok && strings.HasSuffix(dir, ".dist-info") && dir != a.dist {
			if a.dist != "" {
				return nil, fmt.Errorf("both %.100q and %.100q", a.dist, dir)
			}
			a.dist = dir
		}
	}
	a.unpacked = int64(unpacked)
	for name := range a.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if a.files[dir] != nil {
				return nil, fmt.Errorf("%w: %.200q is a file and a directory", fault.Hostile, dir)
			}
		}
	}
	if a.dist == "" {
		return nil, fmt.Errorf("%w: no .dist-info", fault.Malformed)
	}
	return a, nil
}

// safe refuses members that are not plain files or directories below the root.
func safe(m *zip.File) error {
	name := strings.TrimSuffix(m.Name, "/")
	switch {
	case !fs.ValidPath(name) || name == ".":
		return fmt.Errorf("%w: member name %.200q", fault.Hostile, m.Name)
	case strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c == 0x7f || c == '\\' || c == 0xfffd }):
		return fmt.Errorf("%w: member name %.200q", fault.Hostile, m.Name)
	case m.Mode()&^fs.ModePerm&^fs.ModeDir != 0:
		return fmt.Errorf("%w: %.200q is neither file nor directory", fault.Hostile, m.Name)
	case m.Flags&1 != 0:
		return fmt.Errorf("%.200q is encrypted", m.Name)
	}
	return nil
}

func (a *archive) read(name string, limit int64) ([]byte, error) {
	m := a.files[a.dist+"/"+name]
	if m == nil {
		return nil, fmt.Errorf("%w: no %s", fault.Malformed, name)
	}
	data, err := readMember(m, limit)
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", fault.Malformed, name, err)
	}
	return data, nil
}

func (a *archive) checkDistInfo(f Filename) error {
	name, version, ok := strings.Cut(strings.TrimSuffix(a.dist, ".dist-info"), "-")
	if !ok || !SameName(name, f.Name) || !SameVersion(version, f.Version) {
		return fmt.Errorf("directory %.100q is of another name or version", a.dist)
	}
	return nil
}

// checkWheel compares WHEEL with the file name.
func (a *archive) checkWheel(f Filename) (pure bool, err error) {
	data, err := a.read("WHEEL", 1<<20)
	if err != nil {
		return false, err
	}
	h := header(data)
	if major, _, _ := strings.Cut(h.get("wheel-version"), "."); major != "1" {
		return false, fmt.Errorf("%w: Wheel-Version %.20q, want 1.x", fault.Malformed, h.get("wheel-version"))
	}
	var tags []Tag
	for _, value := range h["tag"] {
		more, err := ParseTags(value)
		if err != nil {
			return false, fmt.Errorf("%w: WHEEL: %w", fault.Malformed, err)
		}
		if tags = append(tags, more...); len(tags) > maxTags {
			return false, fmt.Errorf("%w: WHEEL has more than %d tags", fault.Hostile, maxTags)
		}
	}
	if err := sameTags(tags, f.Tags); err != nil {
		return false, fmt.Errorf("tags in WHEEL: %w", err)
	}
	if build := h.get("build"); build != "" && build != f.Build {
		return false, fmt.Errorf("WHEEL has build tag %.100q", build)
	}
	switch pure := strings.ToLower(h.get("root-is-purelib")); pure {
	case "true", "false":
		return pure == "true", nil
	}
	return false, fmt.Errorf("%w: Root-Is-Purelib %.20q", fault.Malformed, h.get("root-is-purelib"))
}
