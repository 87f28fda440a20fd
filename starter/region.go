package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

func regionCmd(*globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "region",
		Short: "Take a region out of service, or build it anew",
		Long: `Take a region out of service, or build it anew. These commands work on the
storage itself, without Temporal: run them on the region's host, as the user
that its worker runs as. For an AFS region any host that may run vos will do.`,
	}
	c.AddCommand(retireCmd(), rebuildCmd(), renameCmd())
	return c
}

func retireCmd() *cobra.Command {
	var file string
	var yes bool
	c := &cobra.Command{
		Use:   "retire NAME",
		Short: "Take a region out of service for good",
		Long: `Take a region out of service for good. Lead its clients elsewhere first (DNS,
load balancer), and take it out of the spec afterwards.

A directory region loses its identity, so no run releases to it or deletes from
it any more, and its ledger says that it is retired. Its links stay: a client
that still comes finds everything that its index names, for as long as you leave
the web server on. It never held back deletions elsewhere. When nobody comes any
more, delete the directory.

An AFS region's site is taken out of the database's entries of all its volumes
(vos remsite). The copies stay on the file server: clients that learned of the
site before still read them, whole. Deletions in the tree go on when the wait of
this region's clients is over: the ledger counts it from when a cycle sees that
the site is gone. Remove the copies when that is over (vos zap). The last site of
a volume is refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, r, err := findRegion(file, args[0])
			if err != nil {
				return err
			}
			if !yes {
				return confirm("region " + r.Name + " would be taken out of service")
			}
			if r.AFS == nil {
				return retireDir(c.OutOrStdout(), spec, *r)
			}
			done, err := afsadmin.CellOf(*spec.AFS).Retire(c.Context(), r.Name, afsadmin.Wanted(spec))
			for _, v := range done {
				fmt.Fprintf(c.OutOrStdout(), "region %s: no longer a site of volume %s\n", r.Name, v)
			}
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "region %s is retired: take it out of the spec\n", r.Name)
			}
			return err
		},
	}
	specFlag(c, &file)
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

// rebuilding is what rebuild was asked.
type rebuilding struct {
	region mirrorspec.Region
	aside  bool
	above  int64
	yes    bool
}

func rebuildCmd() *cobra.Command {
	var file, mirror string
	var o rebuilding
	c := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Build a region, or its copy of a mirror, anew from the tree",
		Long: `Build a region, or its copy of one mirror, anew from the tree: because its
content is damaged or not this tree's, or because it is ahead of the tree, which
stops the mirror with "stale" after an older copy of the tree was restored.

Ahead of the tree, and otherwise whole: nothing is taken away. The tree gets a new
generation with its content and a number above everything that the region served;
the next cycle verifies and releases it. A run of that mirror that is under way
loses the tree, and starts anew with the next cycle. What the region's clients may still ask
for stays in a directory region as long as the grace says. On AFS the next
release takes away what the restored tree lacks; if the sites' copies are newer
than your backup, vos convertROtoRW brings them back instead.

Else a directory region's content is moved aside, to .mirrorcycle/aside in it, where
clients are led until the next release has filled the region anew: run a cycle at once.
They may then miss packages that only the old content had. Delete what was moved
aside by hand. An AFS region's copies are removed from its file server and its
sites added anew; clients read other sites until the next release.

For a region that pulls, the tree is elsewhere. Where its number has to rise, the
command says so, and which: run it on the storage's host with --above.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, r, err := findRegion(file, args[0])
			if err != nil {
				return err
			}
			o.region = *r
			var failed []error
			found := false
			for _, m := range spec.Mirrors {
				if !m.GoesTo(r.Name) || (mirror != "" && m.Name != mirror) {
					continue
				}
				found = true
				failed = append(failed, rebuild(c.Context(), c.OutOrStdout(), spec, m, o))
			}
			if !found {
				return fmt.Errorf("no mirror %s goes to region %s: %w", mirror, r.Name, errUsage)
			}
			return errors.Join(failed...)
		},
	}
	specFlag(c, &file)
	c.Flags().StringVar(&mirror, "mirror", "", "only this mirror")
	c.Flags().BoolVar(&o.aside, "aside", false, "also where the region is only ahead of the tree")
	c.Flags().Int64Var(&o.above, "above", 0, "on the storage's host: the generation that a region that pulls served")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it")
	return c
}

func findRegion(file, name string) (*mirrorspec.Spec, *mirrorspec.Region, error) {
	spec, err := loadFlag(file)
	if err != nil {
		return nil, nil, err
	}
	r, ok := spec.Region(name)
	if !ok {
		return nil, nil, fmt.Errorf("no region is called %q: %w", name, errUsage)
	}
	return spec, r, nil
}

// confirm is the answer to a command that wants --yes.
func confirm(what string) error {
	return fmt.Errorf("%s; repeat with --yes: %w", what, errUsage)
}

func rebuild(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, m mirrorspec.Mirror, o rebuilding) error {
	switch _, err := os.Stat(o.region.Dir); {
	case o.region.AFS != nil:
		return rebuildSite(ctx, w, spec, m, o)
	case err != nil && o.region.Pull && o.above > 0: // the storage's host
		return raise(ctx, w, spec, m, shown{number: o.above}, o)
	case err != nil:
		return &fault.Error{Kind: fault.WrongStorage, Op: "region: look at", Subject: o.region.Dir, Err: err, Advice: "run this on the region's host, or mount the region"}
	}
	return rebuildDir(ctx, w, spec, m, o)
}

// shown is what a region is known to have served of a mirror.
type shown struct {
	number int64        // the highest, 0 for nothing
	served *tree.Served // what it serves, nil if that cannot be read
}

// ahead tells whether generation g may not be released after h.
func (h shown) ahead(g *tree.Generation) bool {
	if h.number != g.Number {
		return h.number > g.Number
	}
	return h.served == nil || h.served.Tree != g.Tree || h.served.Manifest != g.Manifest
}

// raise gives the tree of a mirror a generation above everything that a region
// served, if its newest one is not that.
func raise(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, m mirrorspec.Mirror, h shown, o rebuilding) error {
	cfg := mirror.Tree(spec.Storage, m)
	cfg.Holder = "starter region rebuild " + o.region.Name
	reader, err := tree.Read(cfg)
	if err != nil {
		return err
	}
	g, err := reader.Committed()
	reader.Close()
	switch {
	case err != nil:
		return err
	case g == nil && h.served != nil && h.served.Tree == reader.ID().Tree:
		return &fault.Error{Kind: fault.Stale, Op: "region: rebuild", Subject: cfg.Dir, Err: fmt.Errorf("the region serves generation %d of it, and it has none at all", h.number),
			Advice: "restore the tree and its state"}
	case g == nil || !h.ahead(g):
		return nil
	case !o.yes:
		return confirm(fmt.Sprintf("mirror %s: the tree is at generation %d, the region was at %d: the tree would get a new generation above both", m.Name, g.Number, h.number))
	}
	// The lease ends a run that is under way; the next one goes on from here.
	t, err := tree.Open(cfg)
	if err != nil {
		return err
	}
	defer t.Close()
	n, err := recommit(ctx, t, h.number)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "mirror %s: the tree has its content as generation %d now, above %d; the next cycle verifies and releases it\n", m.Name, n, h.number)
	return nil
}

// recommit commits the newest content once more, with a number above another.
func recommit(ctx context.Context, t *tree.Tree, above int64) (int64, error) {
	g, err := t.Committed()
	if err != nil {
		return 0, err
	}
	now, err := t.ManifestOf(g)
	if err != nil {
		return 0, err
	}
	aux := map[string]manifest.ID{}
	for name, id := range g.Aux {
		if aux[name], err = manifest.ParseDigest(id); err != nil {
			return 0, err
		}
	}
	next, err := t.Commit(ctx, tree.CommitRequest{Above: above, Manifest: now, Aux: aux, Engine: g.Engine, Upstream: g.Upstream, Plan: "rebuild"})
	if err != nil {
		return 0, err
	}
	return next.Number, nil
}

// rebuildSite lets the tree rise above the sites, or else empties the region's site.
func rebuildSite(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, m mirrorspec.Mirror, o rebuilding) error {
	t, err := tree.Read(mirror.Tree(spec.Storage, m))
	if err != nil {
		return err
	}
	g, err := t.Committed()
	t.Close()
	if err != nil {
		return err
	}
	sites := release.Sites(release.Volume{AFS: *spec.AFS, Regions: spec.RegionsOf(m.Name), State: spec.StateDir(m.Name), Mirror: m, Tree: t.ID().Tree})
	top, err := release.NewestAtSites(ctx, sites)
	top = max(top, o.above)
	if foreign := errors.Is(err, fault.WrongStorage); err != nil && !foreign {
		return err
	} else if !foreign && g != nil && top > g.Number && !o.aside {
		return raise(ctx, w, spec, m, shown{number: top}, o)
	}
	if !o.yes {
		return confirm(fmt.Sprintf("mirror %s: the copy of volume %s in region %s would be removed and made anew by the next release", m.Name, spec.AFS.Volume(m.Name), o.region.Name))
	}
	want := slices.DeleteFunc(afsadmin.Wanted(spec), func(v afsadmin.Volume) bool { return v.Mirror != m.Name })
	done, err := afsadmin.CellOf(*spec.AFS).Rebuild(ctx, o.region.Name, want)
	switch {
	case err != nil:
		return err
	case len(done) == 0:
		return &fault.Error{Kind: fault.Config, Op: "region: rebuild", Subject: o.region.Name, Err: fmt.Errorf("volume %s has no site there", spec.AFS.Volume(m.Name)),
			Advice: "starter setup --volumes"}
	}
	fmt.Fprintf(w, "mirror %s: the site of region %s is empty; the next cycle releases the whole volume to it\n", m.Name, o.region.Name)
	return nil
}
