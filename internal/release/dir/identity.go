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
)

// identity tells a mounted region from an empty mount point.
type identity struct {
	Region string `json:"region"`
}

// Setup makes dir the directory of a region. It does nothing where that was
// done before and refuses the directory of another region with fault.WrongStorage.
func Setup(dir, region string) error {
	have, err := readIdentity(dir)
	if err == nil && have.Region == region {
		return nil
	}
	if err == nil {
		return wrong(dir, "it belongs to region "+have.Region+", not to "+region, "choose another directory")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, private), 0o755); err != nil {
		return fmt.Errorf("dir: set up %s: %w", dir, err)
	}
	data, err := json.Marshal(identity{Region: region})
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
	return id, nil
}

// check refuses a directory that is not this region's.
func (r *Region) check() error {
	if r.Mirror == "" || strings.HasPrefix(r.Mirror, ".") || strings.ContainsAny(r.Mirror, "/\x00") {
		return &fault.Error{Kind: fault.Config, Op: "dir: open", Subject: r.Dir, Err: fmt.Errorf("mirror name %q", r.Mirror), Advice: "rename the mirror"}
	}
	id, err := readIdentity(r.Dir)
	if err != nil {
		return wrong(r.Dir, err.Error(), "mount the region, or run starter setup for a new one")
	}
	if id.Region != r.Region {
		return wrong(r.Dir, "it belongs to region "+id.Region+", not to "+r.Region, "check which disks are mounted where")
	}
	return nil
}
