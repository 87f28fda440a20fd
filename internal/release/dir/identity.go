package dir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// identity tells a mounted region from an empty mount point.
type identity struct {
	Region string `json:"region"`
	tree.Layout
}

// Setup makes dir the directory of a region, and expects mirrors to be released
// there. It does nothing where that was done before and refuses the directory of
// another region with fault.WrongStorage.
func Setup(dir, region string, mirrors ...string) error {
	have, err := readIdentity(dir)
	if err == nil && have.Region == region {
		return expect(dir, mirrors)
	}
	if err == nil {
		return wrong(dir, "it belongs to region "+have.Region+", not to "+region, "choose another directory")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, private), 0o755), expect(dir, mirrors)); err != nil {
		return fmt.Errorf("dir: set up %s: %w", dir, err)
	}
	return identifyAs(dir, region)
}

// expect makes the empty records of mirrors that were not released yet. By them
// web servers know that such a mirror is to come: they answer 503, because 404
// would say that there is no such package.
func expect(dir string, mirrors []string) error {
	for _, m := range mirrors {
		if err := os.MkdirAll(filepath.Join(dir, private, m), 0o755); err != nil {
			return fmt.Errorf("dir: set up %s: %w", dir, err)
		}
	}
	return nil
}

// Rename gives the directory of region from the identity of region to. It does
// nothing where that was done before.
func Rename(dir, from, to string) error {
	have, err := readIdentity(dir)
	switch {
	case err == nil && have.Region == to:
		return nil
	case err == nil && have.Region != from:
		err = fmt.Errorf("it belongs to region %s", have.Region)
	}
	if err != nil {
		return &fault.Error{Kind: fault.WrongStorage, Op: "dir: rename", Subject: dir, Err: err, Advice: "run this on the region's host, with the region mounted"}
	}
	return identifyAs(dir, to)
}

func identifyAs(dir, region string) error {
	data, err := json.Marshal(identity{Region: region, Layout: tree.Layout{Format: tree.Format}})
	if err != nil {
		return err
	}
	name := filepath.Join(dir, private, "id")
	if err := durable.ReplaceBy(name+".new", name, append(data, '\n')); err != nil {
		return fmt.Errorf("dir: set up %s: %w", dir, err)
	}
	os.Remove(filepath.Join(dir, private, retired)) // it is in use again
	return durable.SyncDir(dir)
}

func readIdentity(dir string) (identity, error) {
	var id identity
	name := filepath.Join(dir, private, "id")
	data, err := os.ReadFile(name)
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(data, &id); err != nil || id.Region == "" {
		return id, &fault.Error{Kind: fault.Corrupt, Op: "dir: read", Subject: name, Err: err, Advice: "restore the file"}
	}
	return id, id.Check(dir)
}

// check refuses a directory that is not this region's.
func (r *Region) check() error {
	if r.Mirror == "" || strings.HasPrefix(r.Mirror, ".") || strings.ContainsAny(r.Mirror, "/\x00") {
		return &fault.Error{Kind: fault.Config, Op: "dir: open", Subject: r.Dir, Err: fmt.Errorf("mirror name %q", r.Mirror), Advice: "rename the mirror"}
	}
	id, err := readIdentity(r.Dir)
	if errors.Is(err, fault.Config) {
		return err
	}
	if err != nil {
		return wrong(r.Dir, err.Error(), "mount the region, or run starter setup for a new one")
	}
	if id.Region != r.Region {
		return wrong(r.Dir, "it belongs to region "+id.Region+", not to "+r.Region, "check which disks are mounted where")
	}
	return nil
}
