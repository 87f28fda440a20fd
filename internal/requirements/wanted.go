package requirements

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"mirrorcycle/internal/fault"
)

// Wanted is what a wheels mirror wants, for who builds it and for the package
// index that must hold it. It is kept in the mirror's state as JSON.
type Wanted struct {
	// Digest is the SHA-256 of the rest: the same digest, the same wishes.
	Digest string `json:"digest"`
	// Platforms are the pins to have wheels of, sorted, by platform of the spec.
	Platforms map[string][]Pin `json:"platforms"`
	// Elsewhere are the pins of required names that a platform does not want,
	// because the markers of either do not hold. By platform, sorted.
	Elsewhere map[string][]Pin `json:"elsewhere,omitempty"`
	// Environments are what markers are judged by, by platform.
	Environments map[string]Environment `json:"environments"`
	// Requirements and Constraints are the lines of all refs, sorted, each once;
	// what builds are made with is among the requirements, and nothing to build.
	Requirements []string `json:"requirements"`
	Constraints  []string `json:"constraints"`
	// Notes say what could not be read or pinned.
	Notes []string `json:"notes,omitempty"`
}

// Want returns the wishes of several refs, each with its requirements and
// constraints, on some platforms.
func Want(refs []Ref, environments map[string]Environment) Wanted {
	w := Wanted{Platforms: map[string][]Pin{}, Environments: environments}
	for platform, env := range environments {
		var pins []Pin
		for _, ref := range refs {
			p, notes := Pins(ref.Requirements, ref.Constraints, env)
			pins = append(pins, p...)
			for _, n := range notes {
				w.Notes = append(w.Notes, ref.Name+": "+platform+": "+n)
			}
		}
		w.Platforms[platform] = append([]Pin{}, MergePins(pins)...)
		w.elsewhere(platform, refs)
	}
	for _, ref := range refs {
		for _, n := range ref.Notes {
			w.Notes = append(w.Notes, n.String())
		}
		w.Requirements = append(w.Requirements, lines(ref.Requirements)...)
		w.Constraints = append(w.Constraints, lines(ref.Constraints)...)
	}
	for _, list := range []*[]string{&w.Requirements, &w.Constraints, &w.Notes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return w
}

// elsewhere notes the pins of required names that a platform does not want.
func (w *Wanted) elsewhere(platform string, refs []Ref) {
	wanted := map[string]bool{}
	for _, p := range w.Platforms[platform] {
		wanted[p.Name] = true
	}
	var pins []Pin
	for _, ref := range refs {
		named := map[string]bool{}
		for _, r := range ref.Requirements {
			named[r.Name] = !wanted[r.Name]
		}
		for _, c := range ref.Constraints {
			if version, ok := c.Versions.Pinned(); ok && named[c.Name] {
				pins = append(pins, Pin{c.Name, version})
			}
		}
	}
	if len(pins) == 0 {
		return
	}
	if w.Elsewhere == nil {
		w.Elsewhere = map[string][]Pin{}
	}
	w.Elsewhere[platform] = MergePins(pins)
}

// Ref is one state of a source, such as a branch.
type Ref struct {
	Name                      string
	Requirements, Constraints []Requirement
	Notes                     []Note // of lines that could not be read
}

// ForBuilds adds what builds are made with: the index must hold what meets these
// lines, and nobody asked for wheels of it.
func (w *Wanted) ForBuilds(all []Requirement) {
	w.Requirements = append(w.Requirements, lines(all)...)
	slices.Sort(w.Requirements)
	w.Requirements = slices.Compact(w.Requirements)
}

func lines(all []Requirement) (out []string) {
	for _, r := range all {
		out = append(out, r.String())
	}
	return out
}

// Encode returns w as JSON, with its digest.
func (w Wanted) Encode() ([]byte, error) {
	d, err := w.digest()
	if err != nil {
		return nil, err
	}
	w.Digest = d
	return json.MarshalIndent(w, "", " ")
}

func (w Wanted) digest() (string, error) {
	w.Digest = ""
	data, err := json.Marshal(w)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// ParseWanted reads what Encode wrote; what does not match its digest is fault.Corrupt.
func ParseWanted(data []byte) (w Wanted, err error) {
	if err = json.Unmarshal(data, &w); err == nil {
		var want string
		if want, err = w.digest(); err == nil && want != w.Digest {
			err = errors.New("the digest is another")
		}
	}
	if err != nil {
		return Wanted{}, &fault.Error{Kind: fault.Corrupt, Op: "requirements: read wanted", Err: err, Advice: "remove the file: the next cycle writes it anew"}
	}
	return w, nil
}
