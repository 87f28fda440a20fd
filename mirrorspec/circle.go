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
	links := map[string][]link{}
	for i := range s.Mirrors {
		links[s.Mirrors[i].Name] = linksOf(s, i)
	}
	told := map[string]bool{}
	for _, m := range s.Mirrors {
		for _, first := range links[m.Name] {
			circle := wayTo(links, []string{m.Name, first.to}, m.Name)
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

// linksOf lists what a mirror takes from.
func linksOf(s *Spec, i int) (out []link) {
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
		for _, region := range s.Regions {
			for _, other := range s.Mirrors {
				if base := region.URL + "/" + other.Name; region.URL != "" && other.Name != "" && (upstream == base || within(base, upstream)) {
					out = append(out, link{from[upstream], other.Name})
				}
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

// wayTo continues way until it ends at a mirror; nil if it never does.
func wayTo(links map[string][]link, way []string, end string) []string {
	last := way[len(way)-1]
	if last == end {
		return way
	}
	for _, l := range links[last] {
		if l.to == end || !slices.Contains(way, l.to) {
			if found := wayTo(links, append(slices.Clone(way), l.to), end); found != nil {
				return found
			}
		}
	}
	return nil
}
