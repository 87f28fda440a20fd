package debrepo

import (
	"path"
	"slices"
	"strings"
)

// IndexKind says what an index is for.
type IndexKind string

// The kinds of index that a mirror tells apart.
const (
	KindPackages     IndexKind = "packages"     // binary-<arch>/Packages
	KindSources      IndexKind = "sources"      // source/Sources
	KindInstaller    IndexKind = "installer"    // debian-installer/binary-<arch>/Packages (udebs)
	KindArchRelease  IndexKind = "release"      // binary-<arch>/Release, informative
	KindContents     IndexKind = "contents"     // Contents-<arch>, which file is in which package
	KindTranslations IndexKind = "translations" // i18n/Translation-<language>
	KindAppStream    IndexKind = "appstream"    // dep11/…
	KindCommands     IndexKind = "commands"     // cnf/Commands-<arch>
)

// Index is one index in all the forms in which Release lists it.
type Index struct {
	Kind  IndexKind
	Path  string // without compression suffix, relative to the suite
	Forms []File // smallest download first: .xz, .zst, .bz2, .gz, plain
}

// Plain returns the entry of the uncompressed form. Archives list it even where
// they do not serve it; its size bounds what Decompress may yield.
func (i Index) Plain() (File, bool) {
	for _, f := range i.Forms {
		if f.Path == i.Path {
			return f, true
		}
	}
	return File{}, false
}

// suffixes of compressed forms, best first; "" is the plain form.
var suffixes = []string{".xz", ".zst", ".bz2", ".gz", ""}

// TrimCompression returns an index path without its compression suffix.
func TrimCompression(p string) string {
	for _, s := range suffixes[:len(suffixes)-1] {
		if rest, ok := strings.CutSuffix(p, s); ok {
			return rest
		}
	}
	return p
}

// Component returns the name under which Release lists a component. Security
// suites list "updates/main" for what a client calls "main" (apt does the same).
func (r *Release) Component(name string) (string, bool) {
	for _, c := range r.Components {
		if c == name {
			return c, true
		}
	}
	for _, c := range r.Components {
		if path.Base(c) == name {
			return c, true
		}
	}
	return "", false
}

// SeparateAll reports whether packages of architecture "all" stand in indexes of
// their own, so that "all" must be mirrored beside every other architecture.
func (r *Release) SeparateAll() bool {
	return slices.Contains(r.Architectures, "all") && r.NoSupportForArchitectureAll != "Packages"
}

// Indexes returns the indexes of one component and architecture, sorted by path.
// Architecture "source" stands for Sources, and "" for what belongs to no
// architecture: translations and AppStream icons. A component may be given
// as the client says it ("main") or as Release lists it ("updates/main"); the
// directories of both are looked at. Component "" is a flat repository: Packages
// or Sources at the top, whatever the architecture.
func (r *Release) Indexes(component, arch string) []Index {
	byPath := map[string]*Index{}
	var order []string
	for _, f := range r.Files {
		plain := TrimCompression(f.Path)
		kind := r.classify(plain, component, arch)
		if kind == "" {
			continue
		}
		if byPath[plain] == nil {
			byPath[plain] = &Index{Kind: kind, Path: plain}
			order = append(order, plain)
		}
		byPath[plain].Forms = append(byPath[plain].Forms, f)
	}
	slices.Sort(order)
	out := make([]Index, 0, len(order))
	for _, p := range order {
		i := byPath[p]
		slices.SortFunc(i.Forms, func(a, b File) int { return formRank(i.Path, a.Path) - formRank(i.Path, b.Path) })
		out = append(out, *i)
	}
	return out
}

func formRank(plain, p string) int { return slices.Index(suffixes, strings.TrimPrefix(p, plain)) }

// componentDirs lists the directories in which a component's indexes may stand.
func (r *Release) componentDirs(component string) []string {
	dirs := []string{component, path.Base(component)}
	if listed, ok := r.Component(component); ok {
		dirs = append(dirs, listed)
	}
	return dirs
}

func (r *Release) classify(plain, component, arch string) IndexKind {
	if component == "" {
		switch {
		case plain == "Packages" && arch != "source":
			return KindPackages
		case plain == "Sources" && arch == "source":
			return KindSources
		}
		return ""
	}
	// Old suites keep one Contents file per architecture above the components.
	if arch != "" && plain == "Contents-"+arch {
		return KindContents
	}
	for _, dir := range r.componentDirs(component) {
		if rest, ok := strings.CutPrefix(plain, dir+"/"); ok {
			if kind := classifyBelow(rest, arch); kind != "" {
				return kind
			}
		}
	}
	return ""
}

// classifyBelow judges a path below the directory of a component.
func classifyBelow(rest, arch string) IndexKind {
	dir, base := path.Split(rest)
	switch dir {
	case "i18n/":
		if arch == "" && strings.HasPrefix(base, "Translation-") {
			return KindTranslations
		}
		return ""
	case "dep11/":
		of, perArch := strings.CutPrefix(strings.TrimSuffix(base, ".yml"), "Components-")
		if perArch && of == arch || !perArch && arch == "" {
			return KindAppStream
		}
		return ""
	}
	if arch == "" {
		return ""
	}
	binary := "binary-" + arch
	switch rest {
	case binary + "/Packages":
		return KindPackages
	case "debian-installer/" + binary + "/Packages":
		return KindInstaller
	case binary + "/Release", "debian-installer/" + binary + "/Release":
		return KindArchRelease
	case "Contents-" + arch, "Contents-udeb-" + arch:
		return KindContents
	case "cnf/Commands-" + arch:
		return KindCommands
	}
	if arch == "source" {
		switch rest {
		case "source/Sources":
			return KindSources
		case "source/Release":
			return KindArchRelease
		}
	}
	return ""
}
