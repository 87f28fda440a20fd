package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func setupCmd(g *globals) *cobra.Command {
	var offline, volumes bool
	var retention time.Duration
	c := &cobra.Command{
		Use:   "setup [FILE]",
		Short: "Give trees and regions their identity and register search attributes; safe to repeat",
		Long: `Give trees, state and regions of this host their identity, and register search
attributes with Temporal. What was set up before stays as it is.

For AFS regions it also says what the cell lacks, with the commands that make
it: volumes, sites, quotas, mount points, rights. With --volumes it makes what
vos can make with the rights of afs.release-principal, and, where this host
has AFS in the kernel, what fs can make with your own tokens. Each step is
judged by what the volume location database says afterwards. The exit status is
3 if something is left to do by hand.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := mirrorspec.Load(specFile(args))
			if err != nil {
				return err
			}
			left, err := setupCell(c.Context(), c.OutOrStdout(), spec, volumes)
			if err == nil {
				err = setup(c.OutOrStdout(), spec)
			}
			if err == nil && !offline {
				fmt.Fprintln(c.OutOrStdout(), temporalName())
				err = setupTemporal(c.Context(), retention)
			}
			if err == nil && volumes && len(left) > 0 {
				err = status(exitPartly)
			}
			return err
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "only the storage, not Temporal")
	c.Flags().DurationVar(&retention, "namespace-retention", 0, "make Temporal's namespace if it is missing, with closed runs kept for so long, such as 720h")
	c.Flags().BoolVar(&volumes, "volumes", false, "make what the AFS cell lacks")
	return c
}

func setupTemporal(ctx context.Context, retention time.Duration) error {
	if retention > 0 {
		if err := makeNamespace(ctx, retention); err != nil {
			return err
		}
	}
	t, err := dial(ctx, new(telemetry.Telemetry))
	if err != nil {
		return err
	}
	defer t.Close()
	// Caches of a cluster learn of a new namespace within seconds.
	return backoff.Retry(func() error {
		err := registerAttributes(ctx, t, namespace())
		if missing := new(serviceerror.NamespaceNotFound); err != nil && (retention == 0 || !errors.As(err, &missing)) {
			err = backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(time.Minute)), ctx))
}

func makeNamespace(ctx context.Context, retention time.Duration) error {
	o, err := service.ClientOptions()
	if err != nil {
		return err
	}
	c, err := client.NewNamespaceClient(o)
	if err != nil {
		return service.Unreachable(o, err)
	}
	defer c.Close()
	err = c.Register(ctx, &workflowservice.RegisterNamespaceRequest{Namespace: namespace(), WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		Description: "package mirrors"})
	if there := new(serviceerror.NamespaceAlreadyExists); err != nil && !errors.As(err, &there) {
		return service.Unreachable(o, err)
	}
	return nil
}

// setupCell says what the cell lacks, or makes it, and returns what is left.
func setupCell(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, make bool) (left []afsadmin.Step, err error) {
	want := afsadmin.Wanted(spec)
	if len(want) == 0 {
		return nil, nil
	}
	cell := afsadmin.CellOf(*spec.AFS)
	if make {
		left, err = cell.Make(ctx, want, func(s afsadmin.Step) { fmt.Fprintln(w, "done:", s) })
	} else {
		left, err = cell.Missing(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range left {
		fmt.Fprintln(w, "missing:", s)
	}
	if len(left) == 0 {
		fmt.Fprintf(w, "cell %s: %s, nothing is missing\n", spec.AFS.Cell, plural(int64(len(want)), "volume"))
	}
	return left, nil
}

// setup makes the identities of what this host can see. A region that pulls is
// set up on its own host, where its directory's parent exists.
func setup(w io.Writer, spec *mirrorspec.Spec) error {
	unmounted := notMounted(spec)
	for _, m := range spec.Mirrors {
		if err := unmounted[m.Name]; err != nil {
			continue // made here, the directory would be in the volume above
		}
		id, err := tree.Setup(mirror.Tree(spec.Storage, m), m.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "mirror %s: tree %s in %s\n", m.Name, id.Tree, spec.TreeDir(m.Name))
		for _, p := range m.Platforms { // before the first cycle, so that a build worker's unit or mount can name it
			if err := (wheels.Store{State: spec.StateDir(m.Name)}).Ready(p.Name, time.Duration(m.BuildTimeout)); err != nil {
				return err
			}
		}
	}
	for _, r := range spec.Regions {
		if err := setupSite(w, r); err != nil {
			return err
		}
		if r.Dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(r.Dir)); r.Pull && errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(w, "region %s: %s is not on this host: run setup there\n", r.Name, r.Dir)
			continue
		}
		if err := dir.Setup(r.Dir, r.Name, spec.MirrorsOf(r.Name)...); err != nil {
			return err
		}
		fmt.Fprintf(w, "region %s: %s\n", r.Name, r.Dir)
	}
	return errors.Join(slices.Collect(maps.Values(unmounted))...)
}

// setupSite makes the directory of a region's status page: on the region's host
// if it pulls, on AFS where that is mounted.
func setupSite(w io.Writer, r mirrorspec.Region) error {
	if r.Site == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(r.Site)); (r.Pull || r.AFS != nil) && errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(w, "region %s: %s is not on this host: run setup there\n", r.Name, r.Site)
		return nil
	}
	if err := site.Setup(r.Site, r.Name); err != nil {
		return err
	}
	fmt.Fprintf(w, "region %s: status page in %s\n", r.Name, r.Site)
	return nil
}

// notMounted finds the mirrors whose volume, or that of their state, is not mounted on this host.
func notMounted(spec *mirrorspec.Spec) map[string]error {
	out := map[string]error{}
	for _, v := range afsadmin.Wanted(spec) {
		_, err := os.Stat(v.Mount)
		if err == nil || !afsadmin.InAFS(v.Mount) {
			continue
		}
		err = &fault.Error{Kind: fault.WrongStorage, Op: "setup: look at", Subject: v.Mount, Err: err,
			Advice: "make volume " + v.Name + " and mount it there (starter setup --volumes), then repeat"}
		for _, m := range spec.Mirrors {
			if v.Mirror == m.Name || v.Mirror == "" {
				out[m.Name] = err
			}
		}
	}
	return out
}

// registerAttributes registers the search attributes that workflows set.
func registerAttributes(ctx context.Context, t client.Client, namespace string) error {
	want := map[string]enumspb.IndexedValueType{}
	for name, kind := range workflows.SearchAttributes() {
		v, err := enumspb.IndexedValueTypeFromString(kind)
		if err != nil {
			return err
		}
		want[name] = v
	}
	have, err := t.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("setup: list search attributes: %w", err)
	}
	for name := range have.CustomAttributes {
		delete(want, name)
	}
	if len(want) == 0 {
		return nil
	}
	_, err = t.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{SearchAttributes: want, Namespace: namespace})
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("setup: register search attributes: %w", err)
	}
	return nil
}
