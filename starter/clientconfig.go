package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/mirrorspec"
)

type clientOptions struct {
	file, region, mirror, out string
	json                      bool
}

func clientConfigCmd(g *globals) *cobra.Command {
	var o clientOptions
	c := &cobra.Command{
		Use:   "client-config",
		Short: "Print the files by which apt, pip and uv use a region",
		Long: `Print the files by which apt, pip and uv use a region, or write them below a
directory. They are the ones that the region's web server has below /config/;
keyrings, which are no text, are only written. docs/clients.md says what each is for.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.json = g.json
			spec, err := loadFlag(o.file)
			if err != nil {
				return err
			}
			files, err := clientFiles(spec, o)
			if err != nil {
				return err
			}
			return putClientFiles(c.OutOrStdout(), files, o)
		},
	}
	specFlag(c, &o.file)
	c.Flags().StringVar(&o.region, "region", "", "the region (default the only one)")
	c.Flags().StringVar(&o.mirror, "mirror", "", "one mirror (default all of the region)")
	c.Flags().StringVar(&o.out, "out", "", "write the files below this directory")
	return c
}

func clientFiles(spec *mirrorspec.Spec, o clientOptions) (map[string][]byte, error) {
	var all []string
	for _, r := range spec.Regions {
		all = append(all, r.Name)
	}
	if o.region == "" && len(all) == 1 {
		o.region = all[0]
	}
	region, ok := spec.Region(o.region)
	if !ok {
		return nil, fmt.Errorf("name a region with --region, one of %s: %w", strings.Join(all, ", "), errUsage)
	}
	var mirrors []mirrorspec.Mirror
	for _, m := range spec.Mirrors {
		if m.GoesTo(region.Name) && (o.mirror == "" || o.mirror == m.Name) {
			mirrors = append(mirrors, m)
		}
	}
	if len(mirrors) == 0 {
		return nil, fmt.Errorf("region %s has no mirror %q: %w", region.Name, o.mirror, errUsage)
	}
	files, err := mirror.ClientFiles(*region, mirrors, nil, spec.Storage.Root)
	var keyring *mirror.KeyringError
	if errors.As(err, &keyring) {
		return nil, &fault.Error{Kind: fault.Config, Op: "client-config: read keyring of", Subject: keyring.Mirror, Err: keyring.Err,
			Advice: "run this where the keyring is, or take the files from " + region.URL + "/config/"}
	}
	return files, err
}

func putClientFiles(w io.Writer, files map[string][]byte, o clientOptions) error {
	text := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		isText := utf8.Valid(data)
		if isText {
			text[name] = string(data)
		}
		switch {
		case o.out != "":
			to := filepath.Join(o.out, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
				return err
			}
		case !o.json && isText && name != "install.sh":
			fmt.Fprintf(w, "# %s\n%s\n", name, data)
		}
	}
	if o.json {
		return printJSON(w, "files", text)
	}
	if o.out != "" {
		fmt.Fprintf(w, "%s written below %s\n", plural(int64(len(files)), "file"), o.out)
	}
	return nil
}
