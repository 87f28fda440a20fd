package pypi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// maxRequirements bounds a requirements file, in bytes.
const maxRequirements = 16 << 20

// wishes are what the requirements of a mirror say.
type wishes struct {
	Asks []requirements.Requirement
	// Pins are the versions that "==" and "===" name, by project.
	Pins map[string][]string
	// Environments are those of the platforms; one that knows nothing if there are none.
	Environments []requirements.Environment
}

// wished reads the files and the state of the wheels mirrors that Requirements
// and Wheels name. Lines that cannot be read are notes; a file or a state that
// cannot be read is the error, because what only it asks for would be lost.
func (c Config) wished() (w wishes, notes []tree.Note, err error) {
	w = wishes{Pins: map[string][]string{}, Environments: c.Environments}
	if len(w.Environments) == 0 {
		w.Environments = []requirements.Environment{{}}
	}
	var pins []requirements.Requirement
	for _, name := range c.Requirements {
		all, bad, err := readRequirements(name)
		if err != nil {
			return w, notes, err
		}
		for _, n := range bad {
			notes = append(notes, tree.Note{Unit: name, Kind: string(fault.Malformed), Error: n.String(), Standing: true})
		}
		w.Asks = append(w.Asks, all...)
		pins = append(pins, all...)
	}
	for _, state := range c.Wheels {
		wanted, err := reqsource.Wanted(state)
		if err != nil {
			return w, notes, err
		}
		if wanted.Digest == "" {
			notes = append(notes, tree.Note{Unit: "requirements", Kind: string(fault.Early),
				Error: "pypi: read requirements " + state + ": early: the wheels mirror does not know yet what it wants"})
		}
		asks, err := parseLines(state, wanted.Requirements)
		if err != nil {
			return w, notes, err
		}
		constraints, err := parseLines(state, wanted.Constraints)
		if err != nil {
			return w, notes, err
		}
		w.Asks = append(w.Asks, asks...)
		pins = append(pins, constraints...)
	}
	w.pin(pins)
	return w, notes, nil
}

// pin takes the versions that lines pin on some platform.
func (w *wishes) pin(lines []requirements.Requirement) {
	for _, env := range w.Environments {
		for name, versions := range requirements.Constrained(lines, env) {
			w.Pins[name] = append(w.Pins[name], versions...)
		}
	}
	for name, versions := range w.Pins {
		slices.SortFunc(versions, func(a, b string) int {
			if n := simpleindex.CompareVersions(a, b); n != 0 {
				return n
			}
			return strings.Compare(a, b)
		})
		w.Pins[name] = slices.Compact(versions)
	}
}

func parseLines(where string, lines []string) (out []requirements.Requirement, err error) {
	for _, line := range lines {
		r, err := requirements.Parse(line)
		if err != nil {
			return nil, &fault.Error{Kind: fault.Corrupt, Op: "pypi: read requirements", Subject: where, Err: err, Advice: "the wheels mirror writes them anew in its next cycle"}
		}
		out = append(out, r)
	}
	return out, nil
}

func readRequirements(name string) ([]requirements.Requirement, []requirements.Note, error) {
	wrong := func(err error) error {
		return &fault.Error{Kind: fault.Config, Op: "pypi: read requirements", Subject: name, Err: err,
			Advice: "name a readable file in the spec; until then the mirror stays as it is"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, wrong(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRequirements+1))
	if err == nil && len(data) > maxRequirements {
		err = errors.New("it is larger than 16 MB")
	}
	if err != nil {
		return nil, nil, wrong(err)
	}
	return requirements.ParseFile(name, data)
}

// holds reports whether a marker holds on some platform, with no extra or one of extras.
func (w *wishes) holds(m requirements.Marker, extras []string) bool {
	return slices.ContainsFunc(w.Environments, func(env requirements.Environment) bool {
		for _, extra := range append([]string{""}, extras...) {
			with := requirements.Environment{"extra": extra}
			for k, v := range env {
				with[k] = v
			}
			if m.In(with) {
				return true
			}
		}
		return false
	})
}

// version is what a project's page tells of one version.
type version struct {
	Name    string   // as a file name writes it
	Pythons []string // Requires-Python of its files
	Yanked  bool     // all of its files are
}

// pick chooses the versions that meet a requirement: the pinned ones that do,
// else for each platform the newest that its Python can use. A yanked version
// counts only where it is pinned, or where nothing else does (PEP 592).
func (w *wishes) pick(r requirements.Requirement, has []version) (picked []string) {
	for _, pin := range w.Pins[r.Name] {
		i := slices.IndexFunc(has, func(v version) bool { return same(v.Name, pin) })
		if i >= 0 && r.Versions.Contains(pin) {
			picked = append(picked, has[i].Name)
		}
	}
	if len(picked) > 0 {
		return unique(picked)
	}
	if exact, ok := r.Versions.Pinned(); ok {
		for _, v := range has {
			if same(v.Name, exact) {
				return []string{v.Name}
			}
		}
	}
	for _, env := range w.Environments {
		for _, yanked := range []bool{false, true} {
			var usable []string
			for _, v := range has {
				if (yanked || !v.Yanked) && v.runsOn(env["python_version"]) {
					usable = append(usable, v.Name)
				}
			}
			if newest, ok := r.Versions.Newest(usable); ok {
				picked = append(picked, newest)
				break
			}
		}
	}
	return unique(picked)
}

// same compares versions; what is none is compared as text.
func same(a, b string) bool {
	return a == b || simpleindex.ValidVersion(a) && simpleindex.ValidVersion(b) && simpleindex.CompareVersions(a, b) == 0
}

// runsOn reports whether some file may be used by a Python of which major and
// minor are known. What cannot be read forbids nothing, as with pip.
func (v version) runsOn(python string) bool {
	if python == "" || len(v.Pythons) == 0 {
		return true
	}
	return slices.ContainsFunc(v.Pythons, func(text string) bool {
		s, err := requirements.ParseSpecifiers(text)
		return err != nil || text == "" || s.Contains(python+".0") || s.Contains(python+".99999")
	})
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// versionsOf lists the versions of a page, in the order of their first file.
func versionsOf(p *simpleindex.Project) (out []version) {
	at := map[string]int{}
	for _, f := range p.Files {
		name, ok := simpleindex.FileVersion(p.Name, f.Filename)
		if !ok || owned(p.Name, f) != nil {
			continue
		}
		i, ok := at[name]
		if !ok {
			i = slices.IndexFunc(out, func(v version) bool { return same(v.Name, name) })
			if i < 0 {
				i = len(out)
				out = append(out, version{Name: name, Yanked: true})
			}
			at[name] = i
		}
		out[i].Yanked = out[i].Yanked && f.Yanked
		if !slices.Contains(out[i].Pythons, f.RequiresPython) {
			out[i].Pythons = append(out[i].Pythons, f.RequiresPython)
		}
	}
	return out
}

// only leaves the files and versions of a page that are picked.
func only(p *simpleindex.Project, picked []string) {
	unwanted := func(v string) bool { return !slices.ContainsFunc(picked, func(q string) bool { return same(q, v) }) }
	p.Files = slices.DeleteFunc(p.Files, func(f simpleindex.File) bool {
		v, ok := simpleindex.FileVersion(p.Name, f.Filename)
		return !ok || unwanted(v)
	})
	p.Versions = slices.DeleteFunc(p.Versions, unwanted)
}

// lacking notes that upstream has nothing for a requirement.
func lacking(r requirements.Requirement, by string) tree.Note {
	err := &fault.Error{Kind: fault.Gone, Op: "pypi: meet requirement", Subject: r.Name + r.Versions.String(),
		Err: fmt.Errorf("upstream has no version that meets it; asked for by %s", by), Advice: "correct the requirement, or nothing: everything else goes on"}
	return tree.Note{Unit: r.Name, Kind: string(err.Kind), Error: err.Error(), Standing: true}
}
