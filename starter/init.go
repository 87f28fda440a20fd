package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/hostconf"
)

func initCmd() *cobra.Command {
	var out, root string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a spec from this machine's apt sources and pip and uv configuration",
		Long: `Write a spec that mirrors what this machine installs from: apt's sources in both
forms, and the indexes of pip and uv. It asks no server, and leaves credentials
out. A file that is there already stays as it is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := hostconf.Read(root).Spec()
			if text == nil {
				return err
			}
			if out == "-" {
				_, werr := c.OutOrStdout().Write(text)
				return errors.Join(werr, err)
			}
			f, werr := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(werr, fs.ErrExist) {
				return &fault.Error{Kind: fault.Config, Op: "init: write", Subject: out, Err: werr, Advice: "write to another file with -o, or to the screen with -o -"}
			}
			if werr != nil {
				return werr
			}
			_, werr = f.Write(text)
			if werr = errors.Join(werr, f.Close()); werr != nil {
				return werr
			}
			fmt.Fprintf(c.OutOrStdout(), "wrote %s: look at it, then starter validate %s\n", out, out)
			return err
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "mirrors.toml", "the file to write; - for standard output")
	c.Flags().StringVar(&root, "root", "/", "root directory of the machine to read")
	return c
}
