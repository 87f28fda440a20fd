package mirrorspec

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// check judges what only the whole spec can tell, and fills in the regions of
// mirrors that name none.
func (r *reader) check(s *Spec) {
	r.checkUnique("region", len(s.Regions), func(i int) string { return s.Regions[i].Name })
	r.checkUnique("mirror", len(s.Mirrors), func(i int) string { return s.Mirrors[i].Name })
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		at := fmt.Sprintf("mirror[%d]", i)
		r.checkUnique(at+".platforms", len(m.Platforms), func(j int) string { return m.Platforms[j].Name })
		r.checkRegions(at, s, m)
	}
	for i := range s.Mirrors { // with the regions of all of them filled in
		m := &s.Mirrors[i]
		at := fmt.Sprintf("mirror[%d]", i)
		r.checkGrace(at, s, m)
		r.checkReferences(at, s, m)
	}
	r.checkCircles(s)
	r.checkAFS(s)
	r.checkPull(s)
	r.checkDirs(s)
}

func (r *reader) checkUnique(list string, n int, name func(i int) string) {
	seen := map[string]int{}
	for i := range n {
		at := fmt.Sprintf("%s[%d].name", list, i)
		if first, ok := seen[name(i)]; ok && name(i) != "" {
			line := r.places[fmt.Sprintf("%s[%d].name", list, first)].line
			r.fault(at, fmt.Sprintf("%q is taken on line %d", name(i), line), "write another name")
			continue
		}
		seen[name(i)] = i
	}
}

func (r *reader) checkRegions(at string, s *Spec, m *Mirror) {
	var names []string
	for _, region := range s.Regions {
		names = append(names, region.Name)
	}
	if m.Regions == nil && !r.broken[at+".regions"] {
		m.Regions = names
		return
	}
	for i, region := range m.Regions {
		if !slices.Contains(names, region) {
			r.unknownName(fmt.Sprintf("%s.regions[%d]", at, i), region, "region", names)
		}
	}
}

// unknownName reports a reference to nothing and names what may have been meant.
func (r *reader) unknownName(at, name, what string, names []string) {
	advice := fmt.Sprintf("write one, there is no %s in this spec", what)
	if len(names) > 0 && len(r.faults) < maxFaults {
		advice = fmt.Sprintf("did you mean %q?", nearest(name, names))
	}
	r.fault(at, fmt.Sprintf("there is no %s %q", what, name), advice)
}

// checkGrace refuses a grace that ends while an index may still be in use.
func (r *reader) checkGrace(at string, s *Spec, m *Mirror) {
	if !m.Kind.known() {
		return
	}
	for i, region := range s.Regions {
		if !m.GoesTo(region.Name) || m.Grace >= region.IndexMaxAge || r.broken[fmt.Sprintf("region[%d].index-max-age", i)] {
			continue
		}
		r.fault(at+".grace", fmt.Sprintf("%v is shorter than index-max-age %v of region %q", m.Grace, region.IndexMaxAge, region.Name),
			fmt.Sprintf("write at least %q", region.IndexMaxAge))
	}
}

// checkReferences follows the names of other mirrors.
func (r *reader) checkReferences(at string, s *Spec, m *Mirror) {
	named := func(kind Kind) (names []string) {
		for _, other := range s.Mirrors {
			if other.Kind == kind && other.Name != "" {
				names = append(names, other.Name)
			}
		}
		return names
	}
	wheels := named(Wheels)
	if m.Index != "" && !slices.Contains(named(PyPI), m.Index) {
		r.unknownName(at+".index", m.Index, "pypi mirror", named(PyPI))
	}
	if index, ok := s.Mirror(m.Index); ok {
		r.checkIndex(at, m, index)
	}
	if m.Kind != PyPI {
		return
	}
	for i, requirement := range m.Requirements {
		path := fmt.Sprintf("%s.requirements[%d]", at, i)
		switch {
		case strings.HasPrefix(requirement, "/"):
			if problem, advice := checkDir(requirement); problem != "" {
				r.fault(path, problem, advice)
			}
		case !slices.Contains(wheels, requirement):
			r.fault(path, fmt.Sprintf("%q is neither an absolute path nor a wheels mirror of this spec", requirement),
				`write one like "/etc/mirror/requirements.txt"`)
		}
	}
}

// checkIndex wants the index mirror wherever pages name its files.
func (r *reader) checkIndex(at string, m, index *Mirror) {
	for _, region := range m.Regions {
		if !index.GoesTo(region) && !r.broken[at+".regions"] {
			r.fault(at+".regions", fmt.Sprintf("region %q does not get mirror %q, whose files the pages name", region, index.Name),
				fmt.Sprintf("add the region to the regions of %q, or take it out here", index.Name))
		}
	}
}

// checkAFS wants [afs] for AFS regions, the keytabs that its kind of
// authentication needs, and volume names that AFS can hold.
func (r *reader) checkAFS(s *Spec) {
	sites := 0
	for i, region := range s.Regions {
		if region.AFS == nil {
			continue
		}
		sites++
		if s.AFS == nil {
			r.fault(fmt.Sprintf("region[%d].afs", i), "needs the cell", `write an [afs] table with cell = "example.org"`)
		}
	}
	for i, m := range s.Mirrors {
		onAFS := slices.ContainsFunc(s.RegionsOf(m.Name), func(g Region) bool { return g.AFS != nil })
		if len(m.Volumes) > 0 && (!onAFS || s.AFS == nil) {
			r.fault(fmt.Sprintf("mirror[%d].volumes", i), "has no meaning for a mirror without an AFS region", "remove it")
		}
	}
	if s.AFS == nil || sites == 0 {
		return
	}
	if s.AFS.Auth == AuthKeytab {
		r.checkKeytabs()
	}
	for i, m := range s.Mirrors {
		onAFS := slices.ContainsFunc(s.RegionsOf(m.Name), func(g Region) bool { return g.AFS != nil })
		if volume := s.AFS.Volume(m.Name); onAFS && len(volume) > maxVolume && !r.broken["afs.volume-prefix"] {
			r.fault(fmt.Sprintf("mirror[%d].name", i),
				fmt.Sprintf("volume %q is longer than the %d characters of AFS", volume, maxVolume),
				fmt.Sprintf("write at most %d characters or a shorter afs.volume-prefix", max(maxVolume-len(s.AFS.VolumePrefix), 0)))
		}
		names := map[string]bool{}
		for j, dir := range m.Volumes {
			name, at := s.AFS.PartVolume(m.Name, dir), fmt.Sprintf("mirror[%d].volumes[%d]", i, j)
			switch {
			case len(name) > maxVolume:
				r.fault(at, fmt.Sprintf("volume %q is longer than the %d characters of AFS", name, maxVolume), "write a shorter directory, name or afs.volume-prefix")
			case names[name]:
				r.fault(at, fmt.Sprintf("volume %q would hold two directories", name), "write directories with different last elements")
			}
			names[name] = true
		}
	}
}

// checkKeytabs wants a principal with its keytab for writing, and both or none
// for releasing.
func (r *reader) checkKeytabs() {
	given := func(key string) bool { _, ok := r.places["afs."+key]; return ok }
	need := func(key, example string) {
		if !given(key) {
			r.fault("afs."+key, `is missing with auth = "keytab"`, fmt.Sprintf("write %s = %q", key, example))
		}
	}
	need("write-principal", "service/mirror")
	need("write-keytab", "/etc/mirror.keytab")
	if given("release-principal") || given("release-keytab") {
		need("release-principal", "service/release")
		need("release-keytab", "/etc/release.keytab")
	}
}

func (r *reader) checkPull(s *Spec) {
	for i, region := range s.Regions {
		if region.Pull && s.Storage.URL == "" && !r.broken["storage.url"] {
			r.fault(fmt.Sprintf("region[%d].pull", i), "there is nothing to pull from",
				`write url = "https://origin.example.org" in [storage]`)
		}
	}
}

// directory is a directory of the spec with the key that names it.
type directory struct{ at, dir string }

// checkDirs refuses directories inside one another: a purge of one would reach
// into the other. A pulling region is on a host of its own.
func (r *reader) checkDirs(s *Spec) {
	here := owned("storage.root", s.Storage.Root, "storage.state", s.Storage.State)
	for i, region := range s.Regions {
		at := fmt.Sprintf("region[%d]", i)
		own := append(owned(at+".dir", region.Dir, at+".state", region.State), r.siteOf(at, region))
		if region.Pull {
			r.checkApart(own)
		} else {
			here = append(here, own...)
		}
	}
	r.checkApart(here)
}

// owned returns a directory and its state. The default state lies inside and
// stands for itself: no mirror's name begins with a dot, so it meets no tree.
func owned(dirAt, dir, stateAt, state string) []directory {
	all := []directory{{dirAt, dir}}
	if state != path.Join(dir, ".state") {
		all = append(all, directory{stateAt, state})
	}
	return all
}

// siteOf returns the region's site; the default one is the fault of the dir it is beside.
func (r *reader) siteOf(at string, g Region) directory {
	if _, given := r.places[at+".site"]; given {
		return directory{at + ".site", g.Site}
	}
	return directory{at + ".dir", g.Site}
}

func (r *reader) checkApart(all []directory) {
	for i, b := range all {
		for _, a := range all[:i] {
			if a.dir == "" || b.dir == "" || r.broken[a.at] || r.broken[b.at] {
				continue
			}
			if a.dir == b.dir || within(a.dir, b.dir) || within(b.dir, a.dir) {
				r.fault(b.at, fmt.Sprintf("%q and %s %q are inside one another", b.dir, withoutIndexes(a.at), a.dir),
					"write a directory beside it")
			}
		}
	}
}

// within tells whether inner is below outer.
func within(outer, inner string) bool { return strings.HasPrefix(inner, outer+"/") }
