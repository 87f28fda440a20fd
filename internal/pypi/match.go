package pypi

import "strings"

// matcher tells which names a list of names and globs selects: a list of a
// thousand names is asked once for each of the 736,000 projects of a root page.
type matcher struct {
	names map[string]bool
	globs []string
}

func newMatcher(patterns []string) *matcher {
	m := &matcher{names: map[string]bool{}}
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?[\`) {
			m.globs = append(m.globs, p)
		} else {
			m.names[p] = true
		}
	}
	return m
}

func (m *matcher) match(name string) bool { return m.names[name] || matchAny(m.globs, name) }

// tagOnly reads a note that says nothing but the validator of the page, as
// most of the 736,000 of a large index do, without a parser. A note that may
// say more is left to the parser.
func tagOnly(note string) (etag string, ok bool) {
	if note == "{}" {
		return "", true
	}
	rest, ok := strings.CutPrefix(note, `{"e":"`)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutSuffix(rest, `"}`); !ok {
		return "", false
	}
	etag = strings.ReplaceAll(rest, `\"`, "\x00")
	if strings.ContainsAny(etag, `"\`) {
		return "", false
	}
	return strings.ReplaceAll(etag, "\x00", `"`), true
}
