package debrepo

import (
	"path"
	"slices"
	"strings"
)

// IndexKind says what an index is for.
type IndexKind string

// The kinds of index that a mirror tells apart. Specs choose by these names.
const (
	KindPackages     IndexKind = "packages"     // binary-<arch>/Packages
	KindSources      IndexKind = "sources"      // source/Sources
	KindUdebs        IndexKind = "udebs"        // debian-installer/binary-<arch>/Packages
	KindInstaller    IndexKind = "installer"    // installer-<arch>/…/SHA256SUMS and what it names
	KindArchRelease  IndexKind = "release"      // binary-<arch>/Release, informative
	KindContents     IndexKind = "contents"     // Contents-<arch>, which file is in which package
	KindTranslations IndexKind = "translations" // i18n/Translation-<language>
	KindAppStream    IndexKind = "dep11"        // dep11/…: software catalogues and their icons
	KindCommands     IndexKind = "cnf"          // cnf/Commands-<arch>, for command-not-found
	KindPdiffs       IndexKind = "pdiffs"       // <index>.diff/Index and the patches that it names
	KindOther        IndexKind = "other"        // anything else that Release lists
)

// Index is one index in all the forms in which Release lists it.
type Index struct {
	Kind  IndexKind
	Of    IndexKind // of KindPdiffs: the kind of the index that the patches are for
	Path  string    // without compression suffix, relative to the suite
	Forms []File    // smallest download first: .xz, .zst, .bz2, .gz, plain
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
// directories of both are looked at. Files above all components belong to each.
// Component "" is a flat repository: Packages, of whatever architecture, or Sources
// at the top; with architecture "" what else it lists there.
func (r *Release) Indexes(component, arch string) []Index {
	byPath := map[string]*Index{}
	var order []string
	for _, f := range r.Files {
		plain := TrimCompression(f.Path)
		kind, of := r.classify(plain, component, arch), IndexKind("")
		if patched, ok := strings.CutSuffix(plain, ".diff/Index"); ok {
			kind, of = KindPdiffs, r.classify(patched, component, arch)
		}
		if kind == "" || kind == KindPdiffs && of == "" {
			continue
		}
		if byPath[plain] == nil {
			byPath[plain] = &Index{Kind: kind, Of: of, Path: plain}
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
	dir, base := path.Split(plain)
	if component == "" {
		switch {
		case plain == "Packages" && arch != "source":
			return KindPackages
		case plain == "Sources" && arch == "source":
			return KindSources
		case plain == "Packages", plain == "Sources", dir != "", arch != "", isObject(base):
			return "" // a flat repository's packages may be listed among its indexes
		}
		return KindOther
	}
	if strings.Contains("/"+dir, "/by-hash/") {
		return ""
	}
	// Old suites keep one Contents file per architecture above the components.
	if dir == "" && r.architecture(base) == arch {
		if strings.HasPrefix(base, "Contents-") {
			return KindContents
		}
		return KindOther
	}
	for _, dir := range r.componentDirs(component) {
		if rest, ok := strings.CutPrefix(plain, dir+"/"); ok && r.architecture(rest) == arch {
			return classifyBelow(rest)
		}
	}
	return ""
}

// isObject reports whether a name is that of a package or a part of a source.
func isObject(base string) bool {
	for _, suffix := range []string{".deb", ".udeb", ".ddeb", ".dsc", ".tar", ".asc"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return false
}

// classifyBelow judges a path below the directory of a component.
func classifyBelow(rest string) IndexKind {
	dir, base := path.Split(rest)
	top, _, _ := strings.Cut(dir, "/")
	switch {
	case top == "i18n":
		return KindTranslations
	case top == "dep11":
		return KindAppStream
	case top == "cnf":
		return KindCommands
	case strings.HasPrefix(top, "installer-"):
		return KindInstaller
	case dir == "" && strings.HasPrefix(base, "Contents-"):
		return KindContents
	case base == "Release":
		return KindArchRelease
	case top == "debian-installer":
		return KindUdebs
	case base == "Packages" && strings.HasPrefix(top, "binary-"):
		return KindPackages
	case base == "Sources" && top == "source":
		return KindSources
	}
	return KindOther
}

// architecture returns the architecture that a path names, "source", or "" if
// it belongs to none: a word of it, between dashes, dots and slashes, as in
// binary-amd64/Packages or Components-kfreebsd-amd64.yml.
func (r *Release) architecture(p string) string {
	found := ""
	if hasWord(p, "source") {
		found = "source"
	}
	for _, a := range [...][]string{r.Architectures, commonArchitectures} {
		for _, a := range a {
			if len(a) > len(found) && hasWord(p, a) {
				found = a
			}
		}
	}
	return found
}

// commonArchitectures are recognised where Release does not name them: some
// archives list indexes of more than its Architectures.
var commonArchitectures = []string{"all", "amd64", "arm64", "armel", "armhf", "i386", "mips64el", "mipsel", "ppc64el", "riscv64", "s390x"}

func hasWord(p, word string) bool {
	const ends = "-./_"
	for from := 0; ; {
		i := strings.Index(p[from:], word)
		if i < 0 {
			return false
		}
		i += from
		from = i + len(word)
		if (i == 0 || strings.IndexByte(ends, p[i-1]) >= 0) && (from == len(p) || strings.IndexByte(ends, p[from]) >= 0) {
			return true
		}
	}
}

// MissingTable is the name of the table in a generation that lists what the
// indexes of a suite name and upstream does not have.
func MissingTable(suite string) string { return "missing " + suite }
