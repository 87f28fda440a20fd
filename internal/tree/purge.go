package tree

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"mirrorcycle/internal/manifest"
)

func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }

// PurgePlans removes every plan except keep, and with each the objects that it
// brought into the tree but that were never committed.
func (t *Tree) PurgePlans(ctx context.Context, keep ...string) error {
	entries, err := os.ReadDir(t.statePath("plan"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	kept := " " + strings.Join(keep, " ") + " "
	var o orphans
	for _, e := range entries {
		if strings.Contains(kept, " "+e.Name()+" ") {
			continue
		}
		p, err := t.OpenPlan(e.Name())
		if err == nil {
			err = o.remove(ctx, p)
		}
		if err != nil {
			return err
		}
		if err := t.dropState("plan", p.Digest); err != nil {
			return err
		}
	}
	return nil
}

// orphans knows what the tree must keep; it is read once for all plans.
type orphans struct {
	named    *manifest.Manifest
	retained map[string]manifest.Entry
}

func (o *orphans) remove(ctx context.Context, p *Plan) error {
	t := p.t
	if o.named == nil {
		g, err := t.Committed()
		if err != nil {
			return err
		}
		if o.named, err = t.ManifestOf(g); err != nil {
			return err
		}
		if o.retained, err = t.Retained(); err != nil {
			return err
		}
	}
	for shard := range p.Info.Shards {
		for it, err := range p.Items(shard) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			paths := []string{it.Path}
			if it.Metadata {
				paths = append(paths, it.Path+".metadata")
			}
			for _, path := range paths {
				if err := o.drop(t, path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (o *orphans) drop(t *Tree, path string) error {
	_, named, err := o.named.Lookup(path)
	if _, kept := o.retained[path]; err != nil || named || kept {
		return err
	}
	_, there, err := t.Stat(path)
	if err != nil || !there {
		return err
	}
	return t.discard(path)
}
