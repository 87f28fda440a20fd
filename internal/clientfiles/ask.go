package clientfiles

import (
	"slices"
	"strings"

	"mirrorcycle/mirrorspec"
)

// targets are the identifiers of apt's index targets by the kind of index that
// they ask for, as apt, apt-file, appstream and command-not-found configure them
// (Acquire::IndexTargets).
var targets = []struct {
	kind string
	ids  []string
}{
	{"packages", []string{"Packages"}},
	{"translations", []string{"Translations"}},
	{"contents", []string{"Contents-deb", "Contents-deb-legacy", "Contents-udeb", "Contents-dsc"}},
	{"dep11", []string{"DEP-11", "DEP-11-icons-small", "DEP-11-icons", "DEP-11-icons-hidpi", "DEP-11-icons-large", "DEP-11-icons-large-hidpi"}},
	{"cnf", []string{"CNF"}},
}

func has(m mirrorspec.Mirror, kind string) bool {
	return len(m.Indexes) == 0 || slices.Contains(m.Indexes, mirrorspec.AllIndexes) || slices.Contains(m.Indexes, kind)
}

// hasSources reports whether m has source packages.
func hasSources(m mirrorspec.Mirror) bool { return slices.Contains(m.Indexes, mirrorspec.Sources) }

// ask is what a client must not ask for, because the mirror leaves it out, as
// pairs of an option's name and its value: deb822's and the one-line form's.
type ask struct{ field, option, value string }

func asks(m mirrorspec.Mirror) (out []ask) {
	var without []string
	for _, t := range targets {
		if !has(m, t.kind) {
			without = append(without, t.ids...)
		}
	}
	if !has(m, "packages") {
		without = slices.DeleteFunc(without, func(id string) bool { return id == "Packages" }) // then there is no line for them
	}
	if len(without) > 0 {
		out = append(out, ask{"Targets-Remove", "target-", strings.Join(without, " ")})
	}
	switch {
	case !has(m, "translations") || len(m.Translations) == 0:
		out = append(out, ask{"Languages", "lang", "none"})
	case !slices.Contains(m.Translations, mirrorspec.AllLanguages):
		out = append(out, ask{"Languages", "lang", strings.Join(m.Translations, " ")})
	}
	if !slices.Contains(m.Indexes, "pdiffs") {
		out = append(out, ask{"PDiffs", "pdiffs", "no"})
	}
	if m.IgnoreValidUntil {
		out = append(out, ask{"Check-Valid-Until", "check-valid-until", "no"})
	}
	return out
}
