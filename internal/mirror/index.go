package mirror

import (
	"context"
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// indexTree locates the tree of a wheels mirror's index mirror.
func indexTree(t Target) (tree.Config, error) {
	if t.Index == nil {
		return tree.Config{}, &fault.Error{Kind: fault.Config, Op: "mirror: open index", Subject: t.Mirror.Name,
			Err: errors.New("the starter did not say which mirror its index is"), Advice: "use a starter of the worker's version"}
	}
	return Tree(t.Storage, *t.Index), nil
}

func wheelsEngine(t Target, _ *fetch.Client) (Engine, error) {
	cfg, err := indexTree(t)
	if err != nil {
		return nil, err
	}
	return wheels.New(wheels.Config{Index: t.Index.Name, Tree: cfg, Platforms: platformNames(t), Wanted: wanted(t), Notes: requirementNotes(t), Store: states(t)}), nil
}

// states keeps the states of a wheels mirror.
func states(t Target) wheels.Store { return wheels.Store{State: t.State()} }

func platformNames(t Target) []string {
	var out []string
	for _, p := range t.Mirror.Platforms {
		out = append(out, p.Name)
	}
	return out
}

// openIndex reads what regions get of a wheels mirror's index mirror.
func openIndex(t Target) (x *wheels.Index, done func(), err error) {
	cfg, err := indexTree(t)
	if err != nil {
		return nil, nil, err
	}
	index, err := tree.Read(cfg)
	if err != nil {
		return nil, nil, err
	}
	if x, err = wheels.OpenIndex(index); err != nil {
		index.Close()
		return nil, nil, err
	}
	return x, func() { index.Close() }, nil
}

// foreigns looks up what the pages of a wheels mirror name in its index mirror.
func (t Target) foreigns() (lookUp func(mirror, path string) (manifest.Entry, bool, error), done func(), err error) {
	if t.Mirror.Kind != mirrorspec.Wheels {
		return nil, func() {}, nil
	}
	x, done, err := openIndex(t)
	if err != nil {
		return nil, nil, err
	}
	return func(mirror, path string) (manifest.Entry, bool, error) {
		if mirror != t.Index.Name {
			return manifest.Entry{}, false, nil
		}
		return x.Lookup(path)
	}, done, nil
}

// referred tells of a generation whether none of the objects that it dropped is
// still named by another mirror.
func (m *Mirror) referred(ctx context.Context) (free func(gen int64) bool, done func(), err error) {
	var open []*tree.Tree
	done = func() {
		for _, t := range open {
			t.Close()
		}
	}
	var all []func(p string) (bool, error)
	for _, name := range m.Referring {
		other, err := tree.Read(Tree(m.Storage, mirrorspec.Mirror{Name: name}))
		if err != nil {
			return nil, done, fmt.Errorf("mirror: look at what names files of %s: %w", m.Mirror.Name, err)
		}
		open = append(open, other)
		refers, err := other.Refers(m.Mirror.Name)
		if err != nil {
			return nil, done, err
		}
		all = append(all, refers)
	}
	g, err := m.t.Committed()
	if err != nil {
		return nil, done, err
	}
	now, err := m.t.ManifestOf(g)
	if err != nil {
		return nil, done, err
	}
	return func(gen int64) bool {
		if len(all) == 0 {
			return true
		}
		for e, err := range m.t.DropsOf(gen) {
			if err != nil || ctx.Err() != nil {
				return false
			}
			if _, named, err := now.Lookup(e.Path); err != nil {
				return false
			} else if named {
				continue
			}
			for _, refers := range all {
				if yes, err := refers(e.Path); err != nil || yes {
					return false
				}
			}
		}
		return true
	}, done, nil
}

// tendWheels removes what a wheels mirror keeps for pins that nobody wants any more.
func (t Target) tendWheels() error {
	if t.Mirror.Kind != mirrorspec.Wheels {
		return nil
	}
	platforms, err := states(t).Platforms(platformNames(t), wanted(t))
	if err != nil {
		return err
	}
	_, err = states(t).Tend(platforms)
	return err
}
