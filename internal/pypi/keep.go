package pypi

import (
	"slices"
	"strings"

	"mirrorcycle/internal/simpleindex"
)

// trim leaves the files of the newest KeepLatest final versions, and of what is
// newer than the oldest of these. A version counts if some file of it is not
// yanked, as no installer chooses a yanked one by itself (PEP 592), and not among
// absent, the files that upstream goes on lacking. Local versions of one release
// count once. Where there is no final version, pre-releases count. Files of no
// readable version stay.
func (e *Engine) trim(p *simpleindex.Project, absent map[string]bool) {
	if e.cfg.KeepLatest <= 0 {
		return
	}
	k := keeper{cfg: e.cfg, plain: map[string]bool{}}
	versions := map[string]simpleindex.Version{}
	var finals, all []simpleindex.Version
	for _, f := range p.Files {
		v, ok := simpleindex.ParseVersion(versionOf(p, f.Filename))
		if !ok {
			continue
		}
		versions[f.Filename] = v
		if !v.HasLocal() {
			k.plain[v.Public().Key()] = true
		}
		if f.Yanked || absent[f.Filename] {
			continue
		}
		all = append(all, v.Public())
		if !v.IsPrerelease() {
			finals = append(finals, v.Public())
		}
	}
	if k.finals = len(finals) > 0; !k.finals {
		finals = all
	}
	slices.SortFunc(finals, func(a, b simpleindex.Version) int { return b.Compare(a) })
	finals = slices.CompactFunc(finals, func(a, b simpleindex.Version) bool { return a.Compare(b) == 0 })
	if len(finals) > e.cfg.KeepLatest {
		k.oldest = &finals[e.cfg.KeepLatest-1]
	}
	p.Files = slices.DeleteFunc(p.Files, func(f simpleindex.File) bool {
		v, ok := versions[f.Filename]
		return ok && !k.keeps(v)
	})
	p.Versions = slices.DeleteFunc(p.Versions, func(text string) bool {
		v, ok := simpleindex.ParseVersion(text)
		return ok && !k.keeps(v)
	})
}

// keeper decides which versions stay.
type keeper struct {
	cfg    Config
	oldest *simpleindex.Version // that is kept, nil for all
	finals bool                 // there are final versions
	plain  map[string]bool      // releases that have files without a local label
}

func (k keeper) keeps(v simpleindex.Version) bool {
	switch {
	case k.oldest != nil && v.Compare(*k.oldest) < 0:
		return false
	case v.IsPrerelease() && k.finals && k.cfg.LeavePreReleases:
		return false
	}
	return !v.HasLocal() || !k.cfg.LeaveLocalVersions || !k.plain[v.Public().Key()]
}

// versionOf returns the version of a file of p, "" if its name has none. Names of
// other than wheels and source distributions (installers for Windows, packages
// for distributions) have the version first, and what the page lists as versions
// tells where it ends.
func versionOf(p *simpleindex.Project, filename string) string {
	if v, ok := simpleindex.FileVersion(p.Name, filename); ok && simpleindex.ValidVersion(v) {
		return v
	}
	rest := ""
	for i := range filename {
		if filename[i] == '-' && simpleindex.Normalize(filename[:i]) == p.Name {
			rest = filename[i+1:]
			break
		}
	}
	found := ""
	for i := range rest {
		if !strings.ContainsRune("-_.", rune(rest[i])) || !simpleindex.ValidVersion(rest[:i]) {
			continue
		}
		if slices.ContainsFunc(p.Versions, func(v string) bool { return same(v, rest[:i]) }) {
			found = rest[:i] // the longest that the page lists
		} else if len(p.Versions) == 0 && (found == "" || !strings.Contains(rest[len(found):i], "-")) {
			found = rest[:i] // no more than the first part
		}
	}
	return found
}

// complete makes the list of versions hold those of all files (PEP 700).
func complete(p *simpleindex.Project) {
	key := func(text string) string {
		if v, ok := simpleindex.ParseVersion(text); ok {
			return v.Key()
		}
		return text
	}
	has := map[string]bool{}
	for _, v := range p.Versions {
		has[key(v)] = true
	}
	for _, f := range p.Files {
		if v := versionOf(p, f.Filename); v != "" && !has[key(v)] {
			has[key(v)] = true
			p.Versions = append(p.Versions, v)
		}
	}
}
