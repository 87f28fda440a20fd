package wheel

import (
	"fmt"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

// Filename is what a wheel's file name says.
type Filename struct {
	Name    string // as written; compare it normalised
	Version string // as written
	Build   string // the build tag, "" if there is none
	Tags    []Tag  // expanded, in the name's order
}

// maxTags bounds the tags of one name: parts with many dots multiply.
const maxTags = 1000

// ParseFilename reads a wheel's file name (PEP 427). A name of another form is
// fault.Malformed.
func ParseFilename(name string) (Filename, error) {
	f, err := parseFilename(name)
	if err != nil {
		return Filename{}, &fault.Error{Kind: fault.Malformed, Op: "wheel: parse file name", Subject: fmt.Sprintf("%.200q", name), Err: err}
	}
	return f, nil
}

func parseFilename(name string) (Filename, error) {
	stem, ok := strings.CutSuffix(name, ".whl")
	if !ok {
		return Filename{}, fmt.Errorf("does not end in .whl")
	}
	parts := strings.Split(stem, "-")
	if len(parts) != 5 && len(parts) != 6 {
		return Filename{}, fmt.Errorf("%d parts, want 5 or 6", len(parts))
	}
	f := Filename{Name: parts[0], Version: parts[1]}
	if !simpleindex.ValidName(f.Name) {
		return Filename{}, fmt.Errorf("project name %.100q", f.Name)
	}
	if !simpleindex.ValidVersion(strings.ReplaceAll(f.Version, "_", "-")) {
		return Filename{}, fmt.Errorf("version %.100q", f.Version)
	}
	if len(parts) == 6 {
		if f.Build = parts[2]; !validBuild(f.Build) {
			return Filename{}, fmt.Errorf("build tag %.100q must begin with a digit", f.Build)
		}
	}
	n := len(parts)
	var err error
	f.Tags, err = expand(parts[n-3], parts[n-2], parts[n-1])
	return f, err
}

// String renders the name, with tags as compressed as they were written.
func (f Filename) String() string {
	build := ""
	if f.Build != "" {
		build = "-" + f.Build
	}
	return f.Name + "-" + f.Version + build + "-" + compress(f.Tags) + ".whl"
}

// validBuild: digits first, then letters, digits, "_" and ".".
func validBuild(s string) bool {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return false
	}
	return word(strings.ReplaceAll(s, ".", "_"))
}

// word reports whether s is one or more ASCII letters, digits and "_".
func word(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_') {
			return false
		}
	}
	return s != ""
}
