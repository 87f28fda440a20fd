package workflows

import (
	"fmt"
	"strings"

	"mirrorcycle/mirrorspec"
)

// The Web UI shows beside the current details what a run is about. That is
// written when the run is started, and never changes.

// AboutCycle is about a cycle of spec.
func AboutCycle(spec mirrorspec.Spec) string {
	when := "every " + spec.Cycle.Every.String()
	if spec.Cycle.Cron != "" {
		when = strings.TrimSpace("cron " + spec.Cycle.Cron + " " + spec.Cycle.TimeZone)
	}
	var mirrors []string
	for _, m := range spec.Mirrors {
		mirrors = append(mirrors, m.Name)
	}
	return about("mirrors", mirrors) + about("regions", names(spec.Regions)) + about("starts", []string{when})
}

// AboutMirror is about a mirror that goes to regions.
func AboutMirror(m mirrorspec.Mirror, regions []mirrorspec.Region) string {
	var platforms []string
	for _, p := range m.Platforms {
		platforms = append(platforms, p.Name)
	}
	index := m.IndexURLs
	if m.Index != "" {
		index = []string{m.Index}
	}
	return about("upstream", m.Upstream) + about("suites", m.Suites) + about("components", m.Components) + about("architectures", m.Architectures) +
		about("projects", m.Projects) + about("index", index) + about("platforms", platforms) + about("regions", names(regions)) +
		about("grace", []string{m.Grace.String()}) + about("guard", []string{fmt.Sprintf("%s and %d", m.Guard.Share, m.Guard.Count)})
}

func names(regions []mirrorspec.Region) []string {
	var out []string
	for _, r := range regions {
		out = append(out, r.Name)
	}
	return out
}

// about is a line with the first ten of a list, which may be long.
func about(what string, all []string) string {
	const most = 10
	more := ""
	if len(all) > most {
		more = fmt.Sprintf(" and %d more", len(all)-most)
		all = all[:most]
	}
	if len(all) == 0 {
		return ""
	}
	return item(what, strings.Join(all, ", ")+more)
}
