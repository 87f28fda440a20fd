package afslab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Options of a volume; the zero value is RW on FS0 and RO sites on FS1, FS2 and
// FS3, released once, with a quota of 2 GB.
type Options struct {
	Quota      int  // KB
	RWBeside   bool // RW on FS1, beside its RO site: a release takes at least 5 s, which is time to interrupt it
	Small      bool // the site on FS1 is on a partition of 24 MB, which a stop of FS1 empties
	NoRO       bool // no sites: a volume for state
	Unreleased bool // sites, but never released

	Parts []string // directories in it that are volumes of their own, NAME.part
}

// Volume is a volume of its own for a test.
type Volume struct {
	Name string
	RW   string // path, in the writer
	RO   string // path, in the writer and in the web servers
	cell *Cell
}

// names is how many mount points the cell has for tests.
const names = 400

// Volume makes a volume that nobody else uses and removes it when the test ends.
func (c *Cell) Volume(tb testing.TB, o Options) Volume {
	tb.Helper()
	name := c.claim(tb)
	return c.make(tb, name, name, o)
}

// Mirror makes the volume mirror.NAME, which has a mount point NAME from the
// start: debian, ubuntu, pypi, apt or state. One test of a cell can have each.
func (c *Cell) Mirror(tb testing.TB, name string, o Options) Volume {
	tb.Helper()
	volume := "mirror." + name
	switch err := os.Mkdir(filepath.Join(c.Dir, "names", volume), 0o700); {
	case errors.Is(err, fs.ErrExist):
		tb.Fatalf("afslab: claim volume %s: it was used; take the cell in %s down with --wipe and up again", volume, c.Dir)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.must(tb, "rmvol", volume) })
	return c.make(tb, volume, name, o)
}

func (c *Cell) make(tb testing.TB, name, mount string, o Options) Volume {
	tb.Helper()
	args := []string{"mkvol", name}
	if o.Quota > 0 {
		args = append(args, strconv.Itoa(o.Quota))
	}
	for flag, set := range map[string]bool{"--rw-beside": o.RWBeside, "--small": o.Small, "--no-ro": o.NoRO, "--unreleased": o.Unreleased} {
		if set {
			args = append(args, flag)
		}
	}
	for _, part := range o.Parts {
		args = append(args, "--mount="+part+"=#"+name+"."+part)
	}
	c.must(tb, args...)
	for _, part := range o.Parts {
		tb.Cleanup(func() { c.must(tb, "rmvol", name+"."+part) })
		c.must(tb, "mkvol", name+"."+part)
	}
	return Volume{Name: name, RW: "/afs/." + Name + "/" + mount, RO: "/afs/" + Name + "/" + mount, cell: c}
}

// claim reserves a name that has a mount point, across all processes that use
// the cell. It stays reserved, because clients keep what they read of a removed volume.
func (c *Cell) claim(tb testing.TB) string {
	tb.Helper()
	for i := 1; i <= names; i++ {
		name := fmt.Sprintf("t%03d", i)
		lock := filepath.Join(c.Dir, "names", name)
		switch err := os.Mkdir(lock, 0o700); {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.must(tb, "rmvol", name) })
		return name
	}
	tb.Fatalf("afslab: claim a volume: all %d names were used; take the cell in %s down and up again", names, c.Dir)
	return ""
}

// Release runs vos release with the cell's own key.
func (v Volume) Release(flags ...string) error {
	_, err := v.cell.On(DB, append([]string{"vos", "release", v.Name, "-localauth"}, flags...)...)
	return err
}
