package requirements

import (
	"cmp"
	"fmt"
	"slices"

	"mirrorcycle/internal/simpleindex"
)

// Pin is a project at one version.
type Pin struct {
	Name    string `json:"name"`    // normalised
	Version string `json:"version"` // as the constraint writes it
}

func comparePins(a, b Pin) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), simpleindex.CompareVersions(a.Version, b.Version), cmp.Compare(a.Version, b.Version))
}

// MergePins sorts pins by name and version and leaves each once; two spellings of one
// version are one.
func MergePins(pins []Pin) []Pin {
	pins = slices.Clone(pins)
	slices.SortFunc(pins, comparePins)
	return slices.CompactFunc(pins, func(a, b Pin) bool {
		return a.Name == b.Name && (a.Version == b.Version ||
			simpleindex.ValidVersion(a.Version) && simpleindex.ValidVersion(b.Version) && simpleindex.CompareVersions(a.Version, b.Version) == 0)
	})
}

// Pins returns the names of requirements at the versions that constraints pin
// in env, sorted, and a note for each name that has none, or several. Lines
// whose marker does not hold in env count for nothing.
func Pins(requirements, constraints []Requirement, env Environment) (pins []Pin, notes []string) {
	versions := Constrained(constraints, env)
	seen := map[string]bool{}
	for _, r := range requirements {
		if seen[r.Name] || !r.Marker.In(env) {
			continue
		}
		seen[r.Name] = true
		have := versions[r.Name]
		switch {
		case r.URL != "":
			notes = append(notes, fmt.Sprintf("%s is asked for at a URL, which no index has", r.Name))
			continue
		case len(have) == 0:
			notes = append(notes, fmt.Sprintf("%s is pinned by no constraint", r.Name))
		case len(have) > 1:
			notes = append(notes, fmt.Sprintf("%s is pinned to %d versions at once: %v", r.Name, len(have), have))
		}
		for _, v := range have {
			pins = append(pins, Pin{r.Name, v})
		}
	}
	slices.Sort(notes)
	return MergePins(pins), notes
}

// Constrained returns the versions that constraints pin in env, by name.
func Constrained(constraints []Requirement, env Environment) map[string][]string {
	var pins []Pin
	for _, c := range constraints {
		if version, ok := c.Versions.Pinned(); ok && c.Marker.In(env) {
			pins = append(pins, Pin{c.Name, version})
		}
	}
	out := map[string][]string{}
	for _, p := range MergePins(pins) {
		out[p.Name] = append(out[p.Name], p.Version)
	}
	return out
}
