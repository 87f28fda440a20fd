package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/internal/mirror"
)

func initCmd() *cobra.Command {
	var out, root string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a spec from this machine's apt and yum sources and pip and uv configuration",
		Long: `Write a spec that mirrors what this machine installs from: apt's sources in both
forms, repositories of dnf and zypper, and the indexes of pip and uv. It asks no
server, and leaves credentials out. What cannot be mirrored is named at the end of
the spec, with the reason. Keys that stand inside sources are written beside the
spec. A file that is there already stays as it is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found := hostconf.Read(root)
			if out != "-" {
				at, err := filepath.Abs(out)
				if err != nil {
					return err
				}
				found.KeyDir = filepath.Dir(at)
			}
			text, err := mirror.Init(found)
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
			if werr = errors.Join(werr, f.Close(), writeKeys(found)); werr != nil {
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

// writeKeys writes the keys of sources that hold them. A file that is there stays.
func writeKeys(found hostconf.Found) error {
	for name, key := range found.Keys() {
		f, err := os.OpenFile(filepath.Join(found.KeyDir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.Write(key)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
