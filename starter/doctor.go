package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/doctor"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func doctorCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [FILE]",
		Short: "Check what this host can see of everything that the spec needs, and say what to do",
		Long: `Check the spec, trees, state, regions and their status pages on this host, keys,
free space, Temporal and, for AFS regions, the cell: one line for each with ok,
problem or unknown, and what to do. Run it as the worker runs: as its user, and on AFS under k5start
with the write principal. The exit status is 1 if something is a problem.

To see whether it may write, it makes files where clients never look, and removes
them. To see whether it may release, it asks to end a transaction that cannot exist.
To see Temporal's clock, it starts a workflow that nobody runs, and terminates it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := mirrorspec.Load(specFile(args))
			if err != nil {
				return err
			}
			all := []doctor.Finding{{Check: "spec", Subject: specFile(args), Status: doctor.OK,
				Found: fmt.Sprintf("%s and %s", plural(int64(len(spec.Mirrors)), "mirror"), plural(int64(len(spec.Regions)), "region"))}}
			t, err := dial(c.Context(), new(telemetry.Telemetry))
			if err == nil {
				defer t.Close()
			}
			all = append(all, doctor.Examine(c.Context(), doctor.Options{Spec: spec, Server: doctor.Server{Client: t, Err: err, Namespace: namespace()},
				Attributes: workflows.SearchAttributes(), Now: time.Now})...)
			if g.json {
				err = printJSON(c.OutOrStdout(), "findings", all)
			} else {
				for _, f := range all {
					_, err = fmt.Fprintln(c.OutOrStdout(), f)
				}
			}
			if err == nil && !doctor.Healthy(all) {
				err = status(exitFailed)
			}
			return err
		},
	}
}
