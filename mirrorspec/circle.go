package mirrorspec

import (
	"fmt"
	"slices"
	"strings"
)

// link leads from a mirror to one that it takes from.
type link struct{ at, to string } // at is the key that says so

// checkCircles refuses mirrors that feed one another. A wheels mirror and its
// index may name each other, since what the one wants is known before the other
// is planned; no longer way may lead back, and no mirror may have itself, or what
// is made from it, for an upstream.
func (r *reader) checkCircles(s *Spec) {
	links, bases := map[string][]link{}, basesOf(s)
	for i := range s.Mirrors {
		links[s.Mirrors[i].Name] = linksOf(s, i, bases)
	}
	told := map[string]bool{}
	for _, m := range s.Mirrors {
		for _, first := range links[m.Name] {
			circle := wayTo(links, []string{m.Name, first.to}, m.Name, map[string]bool{})
			if circle == nil || told[m.Name] {
				continue
			}
			for _, name := range circle {
				told[name] = true
			}
			r.fault(first.at, "leads in a circle: "+strings.Join(circle, " from "), "remove one of these references, or take from another upstream")
		}
	}
}

// basesOf tells which mirror is at a URL of a region.
func basesOf(s *Spec) map[string]string {
	out := map[string]string{}
	for _, region := range s.Regions {
		for _, m := range s.Mirrors {
			if region.URL != "" && m.Name != "" {
				out[region.URL+"/"+m.Name] = m.Name
			}
		}
	}
	return out
}

// linksOf lists what a mirror takes from.
func linksOf(s *Spec, i int, bases map[string]string) (out []link) {
	m := &s.Mirrors[i]
	at := fmt.Sprintf("mirror[%d]", i)
	from := map[string]string{}
	for j, upstream := range m.Upstream {
		from[upstream] = fmt.Sprintf("%s.upstream[%d]", at, j)
	}
	for _, index := range m.IndexURLs {
		from[index] = at + ".index"
	}
	for _, upstream := range slices.Concat(m.Upstream, m.IndexURLs) {
		for end := range len(upstream) + 1 {
			if end < len(upstream) && upstream[end] != '/' {
				continue
			}
			if other, ok := bases[upstream[:end]]; ok {
				out = append(out, link{from[upstream], other})
			}
		}
	}
	if m.Index != "" {
		out = append(out, link{at + ".index", m.Index})
	}
	if m.Kind != PyPI {
		return out
	}
	for j, name := range m.Requirements {
		if other, ok := s.Mirror(name); ok && other.Kind == Wheels && other.Index != m.Name {
			out = append(out, link{fmt.Sprintf("%s.requirements[%d]", at, j), name})
		}
	}
	return out
}

// wayTo continues way until it ends at a mirror; nil if it never does. From
// where it has been it need not look again.
func wayTo(links map[string][]link, way []string, end string, been map[string]bool) []string {
	last := way[len(way)-1]
	if last == end {
		return way
	}
	been[last] = true
	for _, l := range links[last] {
		if !been[l.to] {
			if found := wayTo(links, append(way, l.to), end, been); found != nil {
				return found
			}
		}
	}
	return nil
}
