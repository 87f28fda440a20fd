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
