package requirements

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mirrorcycle/internal/simpleindex"
)

// maxLine bounds a requirement; the longest in published metadata have some 2,000 bytes.
const maxLine = 16 << 10

// Requirement is one dependency (PEP 508).
type Requirement struct {
	Name     string   // normalised
	Extras   []string // normalised and sorted
	Versions Specifiers
	URL      string // of a direct reference, without login; then Versions is empty
	Marker   Marker
}

// Parse reads a requirement such as `Foo[bar]>=1.2,<2; python_version < "3.13"`.
// The error is plain: whoever knows the file names it.
func Parse(text string) (Requirement, error) {
	r, err := parse(text)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %.100q: %w", text, err)
	}
	return r, nil
}

// login is the user information of a URL, which nobody who reads a requirement needs.
var login = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@`)

func parse(text string) (r Requirement, err error) {
	if len(text) > maxLine {
		return r, errors.New("too long")
	}
	text = trim(text)
	n := 0
	for n < len(text) && (isWord(text[n]) || text[n] == '-' || text[n] == '.') {
		n++
	}
	if !simpleindex.ValidName(text[:n]) {
		return r, errors.New("does not begin with a project's name")
	}
	r.Name = simpleindex.Normalize(text[:n])
	rest := trim(text[n:])
	if strings.HasPrefix(rest, "[") {
		if r.Extras, rest, err = parseExtras(rest); err != nil {
			return r, err
		}
	}
	if url, ok := strings.CutPrefix(rest, "@"); ok {
		url = trim(url)
		i := strings.IndexFunc(url, isSpace)
		if i < 0 {
			i = len(url)
		}
		if r.URL, rest = login.ReplaceAllString(url[:i], "$1"), trim(url[i:]); r.URL == "" {
			return r, errors.New("no URL behind '@'")
		}
		if rest != "" && rest[0] != ';' {
			return r, fmt.Errorf("unexpected %.20q behind the URL", rest)
		}
	}
	versions, marker, conditional := strings.Cut(rest, ";")
	if r.Versions, err = parseVersions(trim(versions)); err != nil {
		return r, err
	}
	if conditional {
		r.Marker, err = ParseMarker(marker)
	}
	return r, err
}

func parseExtras(text string) (extras []string, rest string, err error) {
	list, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return nil, "", errors.New("']' is missing")
	}
	if list = trim(list); list != "" {
		for extra := range strings.SplitSeq(list, ",") {
			if extra = trim(extra); !simpleindex.ValidName(extra) {
				return nil, "", fmt.Errorf("extra %.40q is no name", extra)
			}
			extras = append(extras, simpleindex.Normalize(extra))
		}
	}
	slices.Sort(extras)
	return slices.Compact(extras), trim(rest), nil
}

// parseVersions reads specifiers, which may stand in parentheses.
func parseVersions(text string) (Specifiers, error) {
	if inner, ok := strings.CutPrefix(text, "("); ok {
		if text, ok = strings.CutSuffix(inner, ")"); !ok {
			return Specifiers{}, errors.New("')' is missing")
		}
	}
	return ParseSpecifiers(text)
}

// String returns the requirement in one form for all spellings of its name.
func (r Requirement) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if len(r.Extras) > 0 {
		b.WriteString("[" + strings.Join(r.Extras, ",") + "]")
	}
	if r.URL != "" {
		b.WriteString(" @ " + r.URL)
	}
	b.WriteString(r.Versions.String())
	if m := r.Marker.String(); m != "" {
		if r.URL != "" {
			b.WriteByte(' ')
		}
		b.WriteString(";" + m)
	}
	return b.String()
}
