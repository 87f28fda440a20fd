package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func setupCmd(g *globals) *cobra.Command {
	var offline bool
	c := &cobra.Command{
		Use:   "setup [FILE]",
		Short: "Give trees and regions their identity and register search attributes; safe to repeat",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := mirrorspec.Load(specFile(args))
			if err != nil {
				return err
			}
			if err := setup(c.OutOrStdout(), spec); err != nil || offline {
				return err
			}
			t, err := dial(c.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			return registerAttributes(c.Context(), t, namespace())
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "only the directories of this host, not Temporal")
	return c
}

// setup makes the identities of what this host can see. A region that pulls is
// set up on its own host, where its directory's parent exists.
func setup(w io.Writer, spec *mirrorspec.Spec) error {
	for _, m := range spec.Mirrors {
		id, err := tree.Setup(tree.Config{Dir: spec.TreeDir(m.Name), State: spec.StateDir(m.Name)}, m.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "mirror %s: tree %s in %s\n", m.Name, id.Tree, spec.TreeDir(m.Name))
	}
	for _, r := range spec.Regions {
		if r.Dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(r.Dir)); r.Pull && errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(w, "region %s: %s is not on this host: run setup there\n", r.Name, r.Dir)
			continue
		}
		if err := dir.Setup(r.Dir, r.Name); err != nil {
			return err
		}
		fmt.Fprintf(w, "region %s: %s\n", r.Name, r.Dir)
	}
	return nil
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
