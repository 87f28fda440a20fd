package requirements

import (
	"errors"
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
	URL      string // of a direct reference, without credentials; then Versions is empty
	Marker   Marker
}

// Parse reads a requirement such as `Foo[bar]>=1.2,<2; python_version < "3.13"`.
// The error is plain and quotes nothing, because such lines hold credentials:
// whoever knows the file names it. Of a URL, logins and queries are left out.
func Parse(text string) (Requirement, error) {
	r, err := parse(text)
	if err != nil {
		return Requirement{}, err // nothing of what was read so far
	}
	return r, nil
}

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
		if i == 0 {
			return r, errors.New("no URL behind '@'")
		}
		r.URL, rest = public(url[:i]), trim(url[i:])
		if rest != "" && rest[0] != ';' {
			return r, errors.New("something unexpected stands behind the URL")
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
				return nil, "", errors.New("an extra is no name")
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
