package wheels

import (
	"regexp"
	"slices"
	"strings"

	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

// A platform may change: its root gets another Python or another libc. What was
// built before is judged by what it is bound to.

// stands reports whether the wheel of a record is still right on its platform.
func stands(r *Record, now wheel.Platform) bool {
	f, err := wheel.ParseFilename(r.File)
	if now == (wheel.Platform{}) || err != nil {
		return err == nil
	}
	return wheel.Compatible(f.Tags, now) && bound(r, now)
}

// stands is the function of that name for many wheels.
func (s *surveyor) stands(p *Platform, r *Record) bool {
	return p.Facts == (wheel.Platform{}) || s.fits(p, r.File) && bound(r, p.Facts)
}

// bound judges what tags do not say. A wheel runs on a newer libc than it was
// built with, and not on an older one.
func bound(r *Record, now wheel.Platform) bool {
	then := r.Facts
	switch {
	case then == nil:
		return true
	case r.ByPython && then.Python != now.Python:
		return false
	case !r.Compiled:
		return true
	}
	return then.Machine == now.Machine && then.Libc == now.Libc && simpleindex.CompareVersions(then.Version, now.Version) <= 0
}

var wantForm = regexp.MustCompile(`(?:satisfies the requirement|distribution found for) (.*)$`)

// lacks finds, in what pip says, the requirement that the index could not meet.
func lacks(message string) string {
	m := wantForm.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	want, _, _ := strings.Cut(m[1], " (from")
	r, err := requirements.Parse(want)
	if err != nil || r.URL != "" {
		return ""
	}
	return r.String()
}

// maxLacked bounds what builds may ask for beyond what their sources say.
const maxLacked = 500

// Lacked lists what builds of wanted pins asked for while they ran and could not
// have, which no source tells before: the index is to have it. It stays on the
// list once the pin is built, for the builds to come.
func Lacked(platforms []Platform) (all []string) {
	for _, p := range platforms {
		for _, pin := range p.Wanted {
			all = append(all, p.Log[pin].Lacked...)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxLacked)]
}

// gained reports whether the index has now what a build failed for want of, or
// the platform has become another one since.
func (s *surveyor) gained(p *Platform, page *simpleindex.Project, failed *Record) (bool, error) {
	if failed.Facts != nil && p.Facts != (wheel.Platform{}) && *failed.Facts != p.Facts {
		return true, nil
	}
	if failed.Source != "" && s.other(page, failed) {
		return true, nil
	}
	if failed.Path != "" {
		return s.Whole != nil && s.Whole(failed.Path, failed.Source), nil
	}
	n, err := offers(s.Page, failed.Lacks)
	return n > failed.Saw, err
}

// offers counts the files of the index whose version meets a requirement.
func offers(page Pages, lacks string) (n int, err error) {
	r, err := requirements.Parse(lacks)
	if err != nil {
		return 0, nil // it lacked something else
	}
	p, err := page(r.Name)
	if err != nil || p == nil {
		return 0, err
	}
	for _, f := range p.Files {
		if v, ok := simpleindex.FileVersion(p.Name, f.Filename); ok && r.Versions.Contains(v) {
			n++
		}
	}
	return n, nil
}

// other reports whether the index has another source of the pin than the one
// that failed.
func (s *surveyor) other(page *simpleindex.Project, failed *Record) bool {
	now := source(page, failed.Pin)
	return now != nil && now.SHA256 != failed.Source
}
