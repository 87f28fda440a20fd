package mirrorspec

import (
	"fmt"
	"slices"
	"strings"
)

// readSuites reads the suites of an apt mirror: names, or tables of those that
// have components of their own.
func readSuites(s *section, m *Mirror) {
	s.require("suites", `suites = ["noble", "noble-updates"]`)
	v, ok := s.get("suites", isArray, `suites = ["noble"]`)
	if ok && len(v.items) == 0 {
		s.fault("suites", "is empty", `write suites = ["noble"] or leave the key out`)
	}
	common, seen := false, map[string]bool{} // some suite needs the mirror's components
	for i := 0; ok && i < len(v.items); i++ {
		item := v.items[i]
		path := fmt.Sprintf("%s[%d]", s.at("suites"), i)
		s.r.places[path] = item.place
		name, own := item.text, []string(nil)
		switch item.kind {
		case isString:
		case isTable:
			t := s.r.section(path, item.table)
			t.require("name", `name = "noble-backports"`)
			t.require("components", `components = ["main"]`)
			name, own = t.str("name", "noble-backports"), t.list("components", "main", checkRelative)
			t.done(nil)
		default:
			s.r.fault(path, fmt.Sprintf("holds %s, not %s or %s", item.kind, isString, isTable), `write "noble" or { name = "noble-backports", components = ["main"] }`)
		}
		if name == "" {
			continue
		}
		s.item(path, name, seen, checkRelative)
		m.Suites = append(m.Suites, name)
		common = common || own == nil && !strings.HasSuffix(name, "/")
		if own != nil {
			if m.SuiteComponents == nil {
				m.SuiteComponents = map[string][]string{}
			}
			m.SuiteComponents[name] = own
		}
	}
	m.Components = s.list("components", "main", checkRelative)
	if common {
		s.require("components", `components = ["main"]`)
	}
}

// ComponentsOf returns the components of one suite of an apt mirror.
func (m Mirror) ComponentsOf(suite string) []string {
	if own, ok := m.SuiteComponents[suite]; ok {
		return slices.Clone(own)
	}
	return m.Components
}
