package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/release"
	"mirrorcycle/mirrorspec"
)

func originCmd() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "origin [FILE]",
		Short: "Serve sealed generations at storage.url, for regions that pull",
		Long: `Serve what regions with pull = true take from this host's storage: the objects
of its trees, manifests, and the newest sealed generations. It only reads. Put
nginx or another proxy in front of it for TLS and for who may ask; every region
proves each byte by the manifest's digests.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := mirrorspec.Load(specFile(args))
			if err != nil {
				return err
			}
			var ends stack
			defer ends.end()
			if err := listenAt(address, release.OriginHandler(spec.Storage.Root, spec.Storage.State), &ends); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "serving %s at http://%s\n", spec.Storage.Root, address)
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:8090", "address and port")
	return c
}
