package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"mirrorcycle/internal/manifest"
)

// Refers returns a function that tells whether this tree still refers to the
// object p of another mirror: by its committed generation, by one whose commit
// is under way, or by one that somebody may still ask for.
func (t *Tree) Refers(mirror string) (func(p string) (bool, error), error) {
	open, err := t.current()
	if err != nil {
		return nil, err
	}
	dropped := map[string]bool{}
	numbers, err := t.Drops()
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		for e, err := range t.DropsOf(n) {
			if err != nil {
				return nil, err
			}
			if e.Kind == manifest.Foreign {
				dropped[e.Path] = true
			}
		}
	}
	return func(p string) (bool, error) {
		name := manifest.ForeignPath(mirror, p)
		for _, m := range open {
			if _, ok, err := m.Lookup(name); ok || err != nil {
				return ok, err
			}
		}
		return dropped[name], nil
	}, nil
}

// current opens the manifests of the committed generation and of commits under
// way. Those are read first: one that ends in between is then the committed one.
func (t *Tree) current() ([]*manifest.Manifest, error) {
	var out []*manifest.Manifest
	intents, err := Numbered(t.cfg.State, intentPrefix)
	if err != nil {
		return nil, fmt.Errorf("tree: look for intents: %w", err)
	}
	for _, n := range slices.Sorted(slices.Values(intents)) {
		data, err := os.ReadFile(t.statePath(intentPrefix + strconv.FormatInt(n, 10)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var in intent
		if err == nil {
			err = json.Unmarshal(data, &in)
		}
		if err != nil {
			return nil, fmt.Errorf("tree: read intent %d: %w", n, err)
		}
		m, err := t.ManifestOf(&in.Generation)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	m, err := t.ManifestOf(g)
	return append(out, m), err
}
