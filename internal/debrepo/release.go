package debrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// Release is a parsed Release file: what a suite is, and its indexes.
type Release struct {
	Origin, Label, Version, Suite, Codename string
	Description                             string
	Date                                    time.Time // zero if absent, or no date
	DateFlaw                                string    // why Date is no date
	ValidUntil                              time.Time // zero if absent: valid for ever
	NotAutomatic, ButAutomaticUpgrades      bool
	AcquireByHash                           bool
	NoSupportForArchitectureAll             string // "Packages": binary-all repeats what the other architectures list
	SignedBy, Snapshots, Changelogs         string
	Architectures, Components               []string
	Files                                   []File // sorted by path; Release and InRelease themselves are left out
}

// File is one file that an index names: its path relative to the suite (Release)
// or to the archive root (Sources), its size in bytes and its digests.
type File struct {
	Path   string
	Size   int64
	Hashes Hashes
}

// ParseRelease reads the text of a Release file, which must have been proved
// with Verify or VerifyRelease. A repeated field, an unreadable Valid-Until or file
// entry, a path listed twice under one algorithm or with two sizes is
// fault.Malformed; a path that is not a clean relative one is fault.Hostile.
func ParseRelease(text []byte) (*Release, error) {
	const op = "debrepo: parse Release"
	s := newScanner(bytes.NewReader(text))
	p := releaseParser{r: &Release{}, seen: map[string]bool{}}
	for {
		l, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.add(s, l)
		}
		if err != nil {
			return nil, readError(op, err)
		}
	}
	if len(p.seen) == 0 {
		return nil, &fault.Error{Kind: fault.Malformed, Op: op, Err: errors.New("no field in it")}
	}
	p.r.Files = p.files.files
	slices.SortFunc(p.r.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return p.r, nil
}

// File returns the entry of a path, as Release spells it.
func (r *Release) File(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(r.Files, path, func(f File, p string) int { return strings.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return r.Files[i], true
}

type releaseParser struct {
	r     *Release
	seen  map[string]bool
	list  Algorithm
	ended bool
	files fileList
}

func (p *releaseParser) add(s *scanner, l line) error {
	if l.kind == endLine {
		p.ended = len(p.seen) > 0
		return nil
	}
	if p.ended {
		return s.fail(fault.Malformed, "second stanza")
	}
	if l.cut {
		return s.fail(fault.Hostile, "line is too long")
	}
	if i := bytes.IndexFunc(l.value, func(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7f }); i >= 0 {
		return s.fail(fault.Hostile, "control character")
	}
	if l.kind == continueLine {
		if len(p.seen) == 0 {
			return s.fail(fault.Malformed, "continuation without a field")
		}
		if p.list == "" {
			return nil
		}
		if err := p.files.add(p.list, l.value); err != nil {
			return s.fail(fault.KindOf(err), "%w", err)
		}
		return nil
	}
	name := strings.ToLower(string(l.name))
	if p.seen[name] {
		return s.fail(fault.Malformed, "field %.60q stands twice", l.name)
	}
	p.seen[name] = true
	return p.field(s, name, string(l.value))
}

func (p *releaseParser) field(s *scanner, name, value string) error {
	p.list = ""
	r := p.r
	texts := map[string]*string{
		"origin": &r.Origin, "label": &r.Label, "version": &r.Version, "suite": &r.Suite, "codename": &r.Codename,
		"description": &r.Description, "signed-by": &r.SignedBy, "snapshots": &r.Snapshots, "changelogs": &r.Changelogs,
		"no-support-for-architecture-all": &r.NoSupportForArchitectureAll,
	}
	flags := map[string]*bool{
		"notautomatic": &r.NotAutomatic, "butautomaticupgrades": &r.ButAutomaticUpgrades, "acquire-by-hash": &r.AcquireByHash,
	}
	dates := map[string]*time.Time{"date": &r.Date, "valid-until": &r.ValidUntil}
	lists := map[string]Algorithm{"md5sum": MD5, "sha1": SHA1, "sha256": SHA256, "sha512": SHA512}
	words := map[string]*[]string{"architectures": &r.Architectures, "components": &r.Components}
	if t := texts[name]; t != nil {
		*t = value
	} else if f := flags[name]; f != nil {
		*f = strings.EqualFold(value, "yes") || strings.EqualFold(value, "true") || value == "1"
	} else if d := dates[name]; d != nil {
		at, err := parseDate(value)
		switch {
		case err == nil:
			*d = at
		case name == "date": // apt warns of it, and takes the suite
			r.DateFlaw = err.Error()
		default:
			return s.fail(fault.Malformed, "%s: %w", name, err)
		}
	} else if w := words[name]; w != nil {
		*w = strings.Fields(value)
	} else if a := lists[name]; a != "" {
		p.list = a
		if value != "" {
			return s.fail(fault.Malformed, "%s: file entry on the line of the field", a)
		}
	}
	return nil
}

// parseDate reads a date of RFC 5322 in UTC, the only zone the format allows,
// under the names that apt takes for it. The zone is judged before the time is
// read: time.Parse takes "+0000" for the abbreviation of some zone.
func parseDate(v string) (time.Time, error) {
	at, zone := v, ""
	if i := strings.LastIndexByte(v, ' '); i >= 0 {
		at, zone = v[:i], v[i+1:]
	}
	if !slices.Contains([]string{"UTC", "GMT", "Z", "+0000", "-0000"}, zone) {
		return time.Time{}, fmt.Errorf("zone %q is not UTC", zone)
	}
	return time.Parse("Mon, 2 Jan 2006 15:04:05", at)
}

// fileList merges the entries "digest size path" of several algorithms per path.
type fileList struct {
	files []File
	index map[string]int
}

func (l *fileList) add(alg Algorithm, entry []byte) error {
	fields := bytes.Fields(entry)
	if len(fields) != 3 {
		return malformed("file entry %.200q", entry)
	}
	digest := bytes.ToLower(fields[0])
	size, ok := parseSize(fields[1])
	if !ok || !validHex(alg, digest) {
		return malformed("file entry %.200q", entry)
	}
	p, err := cleanPath(string(fields[2]))
	if err != nil {
		return err
	}
	if p == "Release" || p == "Release.gpg" || p == "InRelease" {
		return nil // apt-ftparchive lists the file it is writing; it cannot prove itself
	}
	if l.index == nil {
		l.index = map[string]int{}
	}
	i, ok := l.index[p]
	if !ok {
		i = len(l.files)
		l.index[p] = i
		l.files = append(l.files, File{Path: p, Size: size})
	}
	f := &l.files[i]
	if f.Size != size {
		return malformed("%s is listed with two sizes", p)
	}
	slot := f.Hashes.field(alg)
	if *slot != "" {
		return malformed("%s is listed twice under %s", p, alg)
	}
	*slot = string(digest)
	return nil
}

func malformed(format string, args ...any) error {
	return &fault.Error{Kind: fault.Malformed, Op: "debrepo: read file list", Err: fmt.Errorf(format, args...)}
}
