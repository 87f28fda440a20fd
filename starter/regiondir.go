package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

func rebuildDir(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, m mirrorspec.Mirror, o rebuilding) error {
	var h shown
	h.served, h.number = dir.Shown(o.region.Dir, m.Name)
	h.number = max(h.number, o.above)
	whole, ahead, err := compare(ctx, spec, m, o.region, h)
	switch {
	case err != nil:
		return err
	case ahead && o.region.Pull:
		return &fault.Error{Kind: fault.Stale, Op: "region: rebuild", Subject: o.region.Dir, Err: fmt.Errorf("it served generation %d of mirror %s, and the origin is not above that", h.number, m.Name),
			Advice: fmt.Sprintf("on the storage's host: starter region rebuild %s --mirror %s --above %d --yes; then a cycle, and this again unless the region is right by then", o.region.Name, m.Name, h.number)}
	case ahead:
		if err := raise(ctx, w, spec, m, h, o); err != nil || (whole && !o.aside) {
			return err
		}
	}
	if dir.Empty(o.region.Dir, m.Name) {
		if err := dir.Setup(o.region.Dir, o.region.Name, m.Name); err != nil {
			return err
		}
		fmt.Fprintf(w, "mirror %s: region %s has nothing of it; the next cycle fills it\n", m.Name, o.region.Name)
		return nil
	}
	if !o.yes {
		return confirm(fmt.Sprintf("mirror %s: the content of region %s would be moved aside, and made anew by the next release", m.Name, o.region.Name))
	}
	if err := dir.Setup(o.region.Dir, o.region.Name, m.Name); err != nil {
		return err // it is another region's
	}
	to, err := dir.MoveAside(o.region.Dir, m.Name, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "mirror %s: the old content is in %s: delete it when you need it no more\nnow: starter run --only %s\n", m.Name, to, m.Name)
	return nil
}

// compare tells whether the region's copy could be followed by another release
// as it is, and whether what it served is above what the tree offers.
func compare(ctx context.Context, spec *mirrorspec.Spec, m mirrorspec.Mirror, r mirrorspec.Region, h shown) (whole, ahead bool, err error) {
	src, done, err := release.From(release.Origin{Region: r, Storage: spec.Storage, Mirror: m.Name})
	if err != nil {
		return false, false, err
	}
	defer done()
	g, err := src.Sealed(ctx)
	if err != nil {
		return false, false, err
	}
	if !r.Pull { // what counts there is what was committed
		t, err := tree.Read(mirror.Tree(spec.Storage, m))
		if err != nil {
			return false, false, err
		}
		defer t.Close()
		if g, err = t.Committed(); err != nil {
			return false, false, err
		}
	}
	if g == nil { // a tree that was made anew, and has nothing yet
		return false, h.number > 0 && !r.Pull, nil
	}
	_, broken := dir.New(dir.Options{Dir: r.Dir, Region: r.Name, Mirror: m.Name, Tree: g.Tree}).Serving(ctx)
	if r.Pull && h.served != nil && h.served.Tree != g.Tree {
		return false, false, nil // numbers of another tree say nothing about this one's
	}
	return broken == nil && h.served != nil, h.number > 0 && h.ahead(g), nil
}

func renameCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Give the directory of a region the region's new name",
		Long: `Give the directory of a region, and that of its status page, the new name that
the region has in the spec. Nothing else changes: content, ledger and clients stay.
Change the spec first, then run this on the region's host. It is safe to repeat.
An AFS region has no directory: its new name needs only the spec.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			_, r, err := findRegion(file, args[1])
			switch {
			case err != nil:
				return err
			case r.Dir == "":
				return fmt.Errorf("region %s has no directory: its name is in the spec only: %w", r.Name, errUsage)
			}
			if err := dir.Rename(r.Dir, args[0], r.Name); err != nil {
				return err
			}
			if err := site.Rename(r.Site, args[0], r.Name); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "region %s: %s\n", r.Name, r.Dir)
			return nil
		},
	}
	specFlag(c, &file)
	return c
}

func retireDir(w io.Writer, spec *mirrorspec.Spec, r mirrorspec.Region) error {
	var mirrors []string
	for _, m := range spec.Mirrors {
		mirrors = append(mirrors, m.Name)
	}
	before, err := dir.Retire(r.Dir, r.Name, mirrors, time.Now())
	switch {
	case err != nil:
		return err
	case before:
		fmt.Fprintf(w, "region %s is retired already\n", r.Name)
	default:
		fmt.Fprintf(w, "region %s is retired: take it out of the spec; its files stay in %s until you delete them\n", r.Name, r.Dir)
	}
	return nil
}
