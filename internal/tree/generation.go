package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Upstream says how new the upstream is that a generation was made from.
type Upstream struct {
	Serial int64     `json:"serial,omitempty"` // PyPI: the index's last serial
	Date   time.Time `json:"date,omitzero"`    // apt: the newest Date of a Release
	// Suites are the Dates of all Releases (apt), by suite.
	Suites map[string]time.Time `json:"suites,omitempty"`
}

// NewerThan reports whether clients of u prefer it to v in part: apt keeps a
// suite's Release that is newer than the one it is shown, and what that names is
// asked for until an even newer one is there.
func (u Upstream) NewerThan(v Upstream) bool {
	if u.Suites == nil || v.Suites == nil { // written by an older version
		return u.Date.After(v.Date)
	}
	for suite, date := range u.Suites {
		if other, ok := v.Suites[suite]; ok && date.After(other) {
			return true
		}
	}
	return false
}

// Served is the content of .mirror/generation.json: what a tree or a region
// serves. Probes read it through a region's URL.
type Served struct {
	Tree     string    `json:"tree"`
	Mirror   string    `json:"mirror"`
	Number   int64     `json:"number"`
	Manifest string    `json:"manifest"` // hexadecimal ID of the manifest
	Time     time.Time `json:"time"`     // of the commit
	Upstream Upstream  `json:"upstream"`
}

// ServedPath is where a tree and a region keep their Served.
const ServedPath = private + "/generation.json"

// Generation is a committed state of a tree.
type Generation struct {
	Served
	Base    int64             `json:"base"`             // the generation it was made from, 0 for none
	Plan    string            `json:"plan,omitempty"`   // digest of the plan
	Aux     map[string]string `json:"aux,omitempty"`    // the engine's tables: name to manifest ID
	Engine  json.RawMessage   `json:"engine,omitempty"` // the engine's own notes, such as validators
	Totals  manifest.Totals   `json:"totals"`
	Changes Changes           `json:"changes"`
}

// Changes counts what a generation changed against its base.
type Changes struct {
	Added      int64 `json:"added"`       // objects
	AddedBytes int64 `json:"added_bytes"` // their size in bytes
	Dropped    int64 `json:"dropped"`     // objects
	Replaced   int64 `json:"replaced"`    // objects with other bytes under the same path
	Indexes    int64 `json:"indexes"`     // index files written or removed
}

// ManifestID returns the parsed ID of the generation's manifest.
func (s Served) ManifestID() (manifest.ID, error) { return manifest.ParseDigest(s.Manifest) }

// Committed returns the tree's generation, or nil if nothing was committed yet.
func (t *Tree) Committed() (*Generation, error) {
	s, err := ReadServed(t.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Tree != t.id.Tree {
		return nil, wrong(t.cfg.Dir, fmt.Sprintf("generation.json is of tree %s, not of %s", s.Tree, t.id.Tree), "check which disks are mounted where")
	}
	g, err := t.Generation(s.Number)
	if err == nil && g.Manifest != s.Manifest {
		err = wrong(t.cfg.State, fmt.Sprintf("generation %d has manifest %s in the state and %s in the tree", s.Number, g.Manifest, s.Manifest),
			"restore the state that belongs to the tree")
	}
	return g, err
}

// ReadServed reads the generation.json below dir, a tree or a region's view of a mirror.
func ReadServed(dir string) (Served, error) {
	var s Served
	name := filepath.Join(dir, ServedPath)
	data, err := os.ReadFile(name)
	if err != nil {
		return s, err
	}
	return ParseServed(data, name)
}

// ParseServed reads a generation.json; subject names it in errors.
func ParseServed(data []byte, subject string) (Served, error) {
	var s Served
	if err := json.Unmarshal(data, &s); err != nil || s.Tree == "" || s.Number <= 0 {
		return s, &fault.Error{Kind: fault.Malformed, Op: "tree: read", Subject: subject, Err: err,
			Advice: "it is not a generation.json: does the URL lead to this mirror?"}
	}
	return s, nil
}

// Generation returns generation n. The error wraps fault.Gone if it has expired.
func (t *Tree) Generation(n int64) (*Generation, error) {
	name := t.statePath("gen", strconv.FormatInt(n, 10))
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Kind: fault.Gone, Op: "tree: read generation", Subject: name, Advice: "it has expired, or the state was lost"}
	}
	if err != nil {
		return nil, fmt.Errorf("tree: read generation: %w", err)
	}
	g := new(Generation)
	if err := json.Unmarshal(data, g); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "tree: read generation", Subject: name, Err: err, Advice: "restore the state"}
	}
	return g, nil
}

// Generations lists the numbers of the generations in state, ascending.
func (t *Tree) Generations() ([]int64, error) {
	all, err := Numbered(t.statePath("gen"), "")
	if err != nil {
		return nil, fmt.Errorf("tree: list generations: %w", err)
	}
	slices.Sort(all)
	return all, nil
}

// Manifest opens a manifest of the state.
func (t *Tree) Manifest(id manifest.ID) (*manifest.Manifest, error) { return manifest.Open(t, id) }

// ManifestOf opens the manifest of g, the empty one if g is nil.
func (t *Tree) ManifestOf(g *Generation) (*manifest.Manifest, error) {
	if g == nil {
		return t.Manifest(manifest.ID{})
	}
	id, err := g.ManifestID()
	if err != nil {
		return nil, err
	}
	return t.Manifest(id)
}

// Table opens one of the engine's tables of g, the empty one if there is none.
func (t *Tree) Table(g *Generation, name string) (*manifest.Manifest, error) {
	if g == nil || g.Aux[name] == "" {
		return t.Manifest(manifest.ID{})
	}
	id, err := manifest.ParseDigest(g.Aux[name])
	if err != nil {
		return nil, err
	}
	return t.Manifest(id)
}

// Seal marks generation n as verified: only sealed generations are released.
func (t *Tree) Seal(n int64) error {
	return t.writeState([]byte(t.cfg.Now().UTC().Format(time.RFC3339)+"\n"), "sealed", strconv.FormatInt(n, 10))
}

// Sealed returns the newest verified generation, or nil if there is none.
func (t *Tree) Sealed() (*Generation, error) {
	all, err := Numbered(t.statePath("sealed"), "")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return t.Generation(slices.Max(all))
}

// IsSealed reports whether generation n was verified.
func (t *Tree) IsSealed(n int64) bool {
	_, err := os.Stat(t.statePath("sealed", strconv.FormatInt(n, 10)))
	return err == nil
}
