package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// keeper takes entries of one directory over into the next view. A directory
// may have 100,000 of them, so each costs one system call and no inode: files,
// and links to directories that are built elsewhere, become hard links.
type keeper struct {
	b        *builder
	p        string // the directory
	k        int64  // the view that has it
	from, to *os.File
}

func (b *builder) keeper(p string, k int64) (*keeper, error) {
	from, err := os.Open(b.view(k, p))
	if err != nil {
		return nil, fmt.Errorf("dir: read view: %w", err)
	}
	to, err := os.Open(b.staged(p))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dir: build view: %w", err), from.Close())
	}
	return &keeper{b, p, k, from, to}, nil
}

func (k *keeper) close() error { return errors.Join(k.from.Close(), k.to.Close()) }

// entry shows in the next view what the directory shows under the entry's name.
func (k *keeper) entry(e fs.DirEntry) error {
	if e.Type() == 0 || e.Type() == fs.ModeSymlink {
		// A link leads to the same place from the same directory of any view.
		if unix.Linkat(int(k.from.Fd()), e.Name(), int(k.to.Fd()), e.Name(), 0) == nil {
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
		return os.Symlink(k.b.linkTo(name, at), k.b.staged(name))
	}
	return k.b.clone(k.b.view(k.k, name), k.b.staged(name), nil)
}
