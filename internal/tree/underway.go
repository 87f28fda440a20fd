package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// underWay returns the generations whose commit has begun and not ended,
// ascending. The commit will happen: its manifest, the contents of its indexes
// and its objects are needed as those of a committed one are.
func (t *Tree) underWay() ([]*Generation, error) {
	intents, err := Numbered(t.cfg.State, intentPrefix)
	if err != nil {
		return nil, fmt.Errorf("tree: look for intents: %w", err)
	}
	var out []*Generation
	for _, n := range slices.Sorted(slices.Values(intents)) {
		in, err := t.intent(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, &in.Generation)
	}
	return out, nil
}

func (t *Tree) intent(n int64) (intent, error) {
	var in intent
	name := strconv.FormatInt(n, 10)
	data, err := os.ReadFile(t.statePath(intentPrefix + name))
	if err != nil {
		return in, fmt.Errorf("tree: read intent: %w", err)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return in, &fault.Error{Kind: fault.Corrupt, Op: "tree: read intent", Subject: name, Err: err, Advice: "restore the state"}
	}
	return in, nil
}

// current opens the manifests of the committed generation and of commits under
// way. Those are read first: one that ends in between is then the committed one.
func (t *Tree) current() ([]*manifest.Manifest, error) {
	all, err := t.underWay()
	if err != nil {
		return nil, err
	}
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	var out []*manifest.Manifest
	for _, g := range append(all, g) {
		m, err := t.ManifestOf(g)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// named reports whether one of the manifests names path.
func named(all []*manifest.Manifest, path string) (bool, error) {
	for _, m := range all {
		if _, ok, err := m.Lookup(path); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
