package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// keeper takes entries of one directory over into the next view. A directory
// may have 100,000 of them, so each costs one system call and no inode: files,
// and links to directories that are built elsewhere, become hard links.
type keeper struct {
	*change
	to       string // the directory in the stage
	old, new *os.File
}

func (c *change) keeper(to string) (*keeper, error) {
	old, err := os.Open(c.b.view(c.k, c.p))
	if err != nil {
		return nil, fmt.Errorf("dir: read view: %w", err)
	}
	made, err := os.Open(to)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dir: build view: %w", err), old.Close())
	}
	return &keeper{c, to, old, made}, nil
}

func (k *keeper) close() error { return errors.Join(k.old.Close(), k.new.Close()) }

// entry shows in the next view what the directory shows under the entry's name.
func (k *keeper) entry(e fs.DirEntry) error {
	if e.Type() == 0 || e.Type() == fs.ModeSymlink {
		// A link leads to the same place from the same directory of any view.
		if unix.Linkat(int(k.old.Fd()), e.Name(), int(k.new.Fd()), e.Name(), 0) == nil {
			return nil
		}
	}
	// A directory, or no hard link: some file systems have none to symbolic
	// links, and an inode bears so many only.
	name := path.Join(k.p, e.Name())
	at, err := k.b.physical(name, k.k, e)
	switch {
	case err != nil:
		return err
	case at > 0:
		return os.Symlink(k.b.linkTo(name, at), filepath.Join(k.to, e.Name()))
	}
	return k.b.clone(k.b.view(k.k, name), filepath.Join(k.to, e.Name()), nil)
}
