package activities

import (
	"context"
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// indexTree locates the tree of a wheels mirror's index mirror.
func indexTree(t Target) (tree.Config, error) {
	if t.Index == nil {
		return tree.Config{}, &fault.Error{Kind: fault.Config, Op: "activities: open index", Subject: t.Mirror.Name,
			Err: errors.New("the starter did not say which mirror its index is"), Advice: "use a starter of the worker's version"}
	}
	index := t
	index.Mirror = *t.Index
	return tree.Config{Dir: treeDir(index), State: stateDir(index), Parts: index.Mirror.Volumes}, nil
}

func wheelsEngine(t Target) (Engine, error) {
	cfg, err := indexTree(t)
	if err != nil {
		return nil, err
	}
	return wheels.New(wheels.Config{Index: t.Index.Name, Tree: cfg, Platforms: platformNames(t), Wanted: wanted(t), Notes: requirementNotes(t), Store: states(t)}), nil
}

// states keeps the states of a wheels mirror.
func states(t Target) wheels.Store { return wheels.Store{State: stateDir(t)} }

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
func foreigns(t Target) (lookUp func(mirror, path string) (manifest.Entry, bool, error), done func(), err error) {
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
func referred(ctx context.Context, t *tree.Tree, target Target) (free func(gen int64) bool, done func(), err error) {
	var open []*tree.Tree
	done = func() {
		for _, t := range open {
			t.Close()
		}
	}
	var all []func(p string) (bool, error)
	for _, name := range target.Referring {
		spec := mirrorspec.Spec{Storage: target.Storage}
		other, err := tree.Read(tree.Config{Dir: spec.TreeDir(name), State: spec.StateDir(name)})
		if err != nil {
			return nil, done, fmt.Errorf("activities: look at what names files of %s: %w", target.Mirror.Name, err)
		}
		open = append(open, other)
		refers, err := other.Refers(target.Mirror.Name)
		if err != nil {
			return nil, done, err
		}
		all = append(all, refers)
	}
	g, err := t.Committed()
	if err != nil {
		return nil, done, err
	}
	now, err := t.ManifestOf(g)
	if err != nil {
		return nil, done, err
	}
	return func(gen int64) bool {
		if len(all) == 0 {
			return true
		}
		for e, err := range t.DropsOf(gen) {
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
func tendWheels(t Target) error {
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
