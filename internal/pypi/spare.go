package pypi

import (
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// spare keeps the files that the mirror's choice leaves out: they go when those
// that are to take their place are there, or upstream was known to lack these.
func (s *settler) spare(c change, had map[string]manifest.Entry, told *lacks, files []simpleindex.File, objects []manifest.Entry) ([]simpleindex.File, []manifest.Entry, error) {
	if len(c.Spared) == 0 || !lost(c, files, told) {
		return files, objects, nil
	}
	was, err := mirroredPage(s.t, s.base, c.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range c.Spared {
		f, ok := was[name]
		if main, there := had[objectPath(f)]; ok && there {
			files, objects = append(files, f), append(objects, main)
			if meta, ok := had[main.Path+".metadata"]; ok {
				objects = append(objects, meta)
			}
		}
	}
	return files, objects, nil
}

// lost reports whether there is no file of a version that the page is to have,
// and that upstream was not known to lack.
func lost(c change, there []simpleindex.File, told *lacks) bool {
	version := func(f simpleindex.File) string {
		v, _ := simpleindex.FileVersion(c.Name, f.Filename)
		return v
	}
	versions := map[string]bool{}
	for _, f := range there {
		versions[version(f)] = true
	}
	return slices.ContainsFunc(c.Project.Files, func(f simpleindex.File) bool { return !versions[version(f)] && !told.misses(f.Filename) })
}

// swaps reports whether files leave the page in the cycle in which others cannot
// be had for the first time. The page would be neither the old nor the new one;
// the next cycle asks again, and then the project moves on.
func swaps(c change, there []simpleindex.File, had map[string]manifest.Entry, l, told *lacks) bool {
	before := 0
	if told != nil {
		before = told.Missing
	}
	if l.Missing <= before {
		return false
	}
	listed := map[string]bool{}
	for _, f := range slices.Concat(c.Project.Files, there) {
		listed[f.Filename] = true
	}
	for _, e := range had {
		if name := path.Base(e.Path); !listed[strings.TrimSuffix(name, ".metadata")] {
			return true
		}
	}
	return false
}
