package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/serve"
)

func serveCmd() *cobra.Command {
	var dir, site, address string
	var index map[string]string
	var maxAge time.Duration
	c := &cobra.Command{
		Use:   "serve --dir DIR",
		Short: "Serve a region's directory of mirrors over HTTP, to try it without a web server",
		Long: `Serve a region's directory of mirrors over HTTP: a directory region, or the
read-only side of an AFS cell. It negotiates the forms of Python project pages,
tells caches how long indexes may be kept, and never lists a directory. For
real load use nginx or Apache with the configurations in docs/operations.md.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := serve.New(serve.Options{Dir: dir, IndexMaxAge: maxAge, Site: site, Indexes: index})
			if err != nil {
				return err
			}
			var ends stack
			defer ends.end()
			if err := listenAt(address, h, &ends); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "serving %s at http://%s\n", dir, address)
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory that holds the mirrors, as clients see them")
	c.Flags().StringVar(&site, "site", "", "directory of the region's status page and client files")
	c.Flags().StringVar(&address, "listen", "127.0.0.1:8081", "address and port")
	c.Flags().DurationVar(&maxAge, "index-max-age", 10*time.Minute, "how long caches may keep an index")
	c.Flags().StringToStringVar(&index, "index", nil, "WHEELS=PYPI: the mirror that has the pages that a wheels mirror has not")
	_ = c.MarkFlagRequired("dir")
	return c
}

func demoCmd() *cobra.Command {
	var dir, address string
	var step time.Duration
	c := &cobra.Command{
		Use:   "demo",
		Short: "Serve a small upstream to try mirrors on: a signed apt archive and a Python index",
		Long: `Serve a small upstream to try mirrors on: a signed apt archive and a Python index.
It publishes a change every step, and whenever it gets the signal SIGUSR1.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			u, err := demo.New(demo.Options{Dir: filepath.Join(dir, "upstream")})
			if err != nil {
				return err
			}
			keyring := filepath.Join(dir, "demo-keyring.gpg")
			if err := os.WriteFile(keyring, u.Keyring(), 0o644); err != nil {
				return err
			}
			var ends stack
			defer ends.end()
			if err := listenAt(address, u.Handler(), &ends); err != nil {
				return err
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "apt archive http://%s/debian, Python index http://%s/pypi, keyring %s\n", address, address, keyring)
			stepping(out, u, step, &ends)
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "mirrorcycle-data", "directory for its key and where it stands")
	c.Flags().StringVar(&address, "listen", "127.0.0.1:8070", "address and port")
	c.Flags().DurationVar(&step, "step", 20*time.Second, "how often it publishes something; 0 for only when it gets SIGUSR1")
	return c
}
