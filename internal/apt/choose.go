package apt

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

// All stands for every kind of index that a client of binary packages may ask
// for, and for every language.
const All = "all"

// byChoice are the kinds that All leaves out: they bring objects of their own.
var byChoice = []debrepo.IndexKind{debrepo.KindSources, debrepo.KindUdebs, debrepo.KindInstaller, debrepo.KindPdiffs}

// wantedIndex is an index with what its packages are counted for.
type wantedIndex struct {
	debrepo.Index
	component string
}

// wants reports whether indexes of a kind are mirrored.
func (c Config) wants(kind debrepo.IndexKind) bool {
	if kind == debrepo.KindArchRelease {
		kind = debrepo.KindPackages // a small file beside them
	}
	all := len(c.Indexes) == 0 || slices.Contains(c.Indexes, All)
	return slices.Contains(c.Indexes, string(kind)) || all && !slices.Contains(byChoice, kind)
}

func (c Config) wantsIndex(i debrepo.Index) bool {
	kind := i.Kind
	if kind == debrepo.KindPdiffs {
		kind = i.Of
	}
	language, isTranslation := strings.CutPrefix(path.Base(strings.TrimSuffix(i.Path, ".diff/Index")), "Translation-")
	if isTranslation && !slices.Contains(c.Translations, All) && !slices.Contains(c.Translations, language) {
		return false
	}
	return c.wants(i.Kind) && c.wants(kind)
}

// choice is what is wanted of a suite, and what it lacks.
type choice struct {
	indexes []wantedIndex
	lacks   []string // "component \"x\"", "architecture \"y\""
}

// choose lists the indexes of r that cfg wants. One suite of an archive may lack
// a component or an architecture that others have; one that has nothing of what
// is wanted is a mistake in the spec.
func (e *Engine) choose(suite string, r *debrepo.Release) (choice, error) {
	var out choice
	has := map[[2]string]bool{}
	seen := map[string]bool{}
	components, needed := e.cfg.components(suite), e.needed(r)
	if strings.HasSuffix(suite, "/") {
		components = []string{""}
	}
	architectures := append(slices.Clip(needed), "")
	if !slices.Contains(needed, "all") {
		// apt asks for what belongs to all architectures beside each, also where
		// the packages of "all" stand in the indexes of the others.
		architectures = append(architectures, "all")
	}
	for _, component := range components {
		for _, arch := range architectures {
			for _, index := range r.Indexes(component, arch) {
				if index.Kind == debrepo.KindSources || index.Kind == debrepo.KindPackages && (arch != "all" || slices.Contains(needed, "all")) {
					has[[2]string{component, arch}] = true
				}
				if arch == "all" && !slices.Contains(needed, "all") && !r.SeparateAll() && (index.Kind == debrepo.KindPackages || index.Kind == debrepo.KindArchRelease) {
					continue
				}
				if e.cfg.wantsIndex(index) && !seen[index.Path] {
					seen[index.Path] = true
					out.indexes = append(out.indexes, wantedIndex{index, component})
				}
			}
		}
	}
	// Packages of "all" may stand in the indexes of the others.
	if named := slices.DeleteFunc(slices.Clone(needed), func(a string) bool { return a == "all" }); len(named) > 0 {
		needed = named
	}
	out.lacks = lacking(components, needed, has)
	if len(has) == 0 {
		return out, &fault.Error{Kind: fault.Config, Op: "apt: plan suite", Subject: suiteDir(suite),
			Err: fmt.Errorf("the Release file lists no Packages for %s", strings.Join(out.lacks, ", ")), Advice: holds(r)}
	}
	return out, nil
}

// needed lists the architectures of which each component should have packages.
func (e *Engine) needed(r *debrepo.Release) []string {
	var out []string
	if e.cfg.wants(debrepo.KindPackages) {
		out = append(out, e.cfg.Architectures...)
	}
	if e.cfg.wants(debrepo.KindSources) {
		out = append(out, "source")
	}
	return out
}

// lacking names what is not there, as shortly as can be: whole components, whole
// architectures, then single pairs.
func lacking(components, architectures []string, has map[[2]string]bool) (out []string) {
	anyOf := func(component, arch string) bool {
		return slices.ContainsFunc(components, func(c string) bool {
			return (component == "" || c == component) && slices.ContainsFunc(architectures, func(a string) bool {
				return (arch == "" || a == arch) && has[[2]string{c, a}]
			})
		})
	}
	for _, c := range components {
		if c != "" && !anyOf(c, "") {
			out = append(out, fmt.Sprintf("component %q", c))
		}
	}
	for _, a := range architectures {
		if !anyOf("", a) && (len(has) > 0 || len(out) == 0) {
			out = append(out, fmt.Sprintf("architecture %q", a))
		}
	}
	for _, c := range components {
		for _, a := range architectures {
			if !has[[2]string{c, a}] && anyOf(c, "") && anyOf("", a) {
				out = append(out, fmt.Sprintf("component %q for architecture %q", c, a))
			}
		}
	}
	return out
}

// holds says what a suite has.
func holds(r *debrepo.Release) string {
	return fmt.Sprintf("the suite has components %s and architectures %s", strings.Join(r.Components, " "), strings.Join(r.Architectures, " "))
}
