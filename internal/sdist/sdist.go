// Package sdist reads what a source distribution asks for: what it needs to be built, and to run.
//
// A source distribution (PEP 517, PEP 625) is an archive of one directory that
// holds pyproject.toml (PEP 518) and PKG-INFO (core metadata). What is read is what
// lies there once it is unpacked: of members of one name the last, through links.
// Archives are streamed and bounded; nothing is unpacked.
package sdist

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

const (
	maxMember   = 4 << 20 // bytes of one file that is read
	maxTexts    = 32 << 20
	maxUnpacked = 4 << 30 // bytes of the whole, unpacked
	maxMembers  = 200_000
)

// Needs are requirements as written (PEP 508).
type Needs struct {
	Build []string // build-system.requires, or what PEP 518 says without it
	Run   []string // Requires-Dist, as far as the archive tells before it is built

	Backend     string   // build-system.build-backend, or what PEP 517 says without it
	BackendPath []string // build-system.backend-path

	// Static: every build gives the same Requires-Dist, Requires-Python and extras,
	// whatever it is built on: PKG-INFO (PEP 643) or the project table (PEP 621)
	// says so.
	Static bool
}

// legacy is what is assumed without a build-system table (PEP 518).
var legacy = []string{"setuptools>=40.8.0", "wheel"}

const legacyBackend = "setuptools.build_meta:__legacy__"

// IsName reports whether a file name is that of a source distribution that Read knows.
func IsName(name string) bool { return kindOf(name) != "" }

func kindOf(name string) string {
	for _, suffix := range []string{".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"} {
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
			Project *struct {
				Dynamic []string `toml:"dynamic"`
			} `toml:"project"`
		}
		if err := toml.Unmarshal(data, &project); err != nil {
			return n, fmt.Errorf("pyproject.toml: %w", err)
		}
		n.Static = project.Project != nil && !anyOf(project.Project.Dynamic, "dependencies", "optional-dependencies", "requires-python")
		if project.BuildSystem != nil {
			n.Build, n.BackendPath = project.BuildSystem.Requires, project.BuildSystem.Path
			n.Backend = cmp.Or(project.BuildSystem.Backend, legacyBackend)
		}
	}
	if data, ok := t["PKG-INFO"]; ok {
		if m, err := wheel.ParseMetadata(data); err == nil {
			n.Run, n.Static = m.RequiresDist, n.Static || static(m)
		}
	}
	if len(n.Run) == 0 {
		n.Run = eggRequires(string(t["requires.txt"]))
	}
	return n, nil
}

// static reports whether core metadata of a source distribution promise that a
// wheel has the same dependencies.
func static(m wheel.Metadata) bool {
	major, minor, _ := strings.Cut(m.Version, ".")
	if n, err := strconv.Atoi(minor); err != nil || major < "2" || len(major) > 1 || major == "2" && n < 2 {
		return false
	}
	return !anyOf(m.Dynamic, "requires-dist", "requires-python", "provides-extra")
}

func anyOf(fields []string, names ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return slices.Contains(names, strings.ToLower(field)) })
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
