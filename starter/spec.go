package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mirrorcycle/mirrorspec"
)

// specFile is the first argument, else $MIRRORCYCLE_SPEC, else ./mirrors.toml.
func specFile(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	if env := os.Getenv("MIRRORCYCLE_SPEC"); env != "" {
		return env
	}
	return "mirrors.toml"
}

// specFlag gives commands whose arguments are taken a --spec.
func specFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "spec", "", "spec file (default $MIRRORCYCLE_SPEC, then ./mirrors.toml)")
}

func loadFlag(file string) (*mirrorspec.Spec, error) {
	if file != "" {
		return mirrorspec.Load(file)
	}
	return mirrorspec.Load(specFile(nil))
}

// schemaVersion is raised when a field of a --json object changes its meaning.
const schemaVersion = 1

// printJSON writes one object with the version of its schema.
func printJSON(w io.Writer, what string, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"version": schemaVersion, what: v})
}

func validateCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a spec: every fault with file:line:column and what to write instead",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := mirrorspec.Load(specFile(args))
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(c.OutOrStdout(), "spec", spec)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: cycle %s with %s and %s is fine\n",
				specFile(args), spec.Cycle.Name, plural(int64(len(spec.Mirrors)), "mirror"), plural(int64(len(spec.Regions)), "region"))
			return nil
		},
	}
}
