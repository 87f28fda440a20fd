package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Mend puts the proved content of f, which it takes, where a file of the
// committed generation is missing or damaged. The damaged file is written over
// where it lies: kept content and the regions of this file system share it by
// hard links, and are whole again with it. Readers meet wrong bytes for a moment
// longer, as they did before; a crash leaves the file damaged. The error is
// fault.Early while a commit is under way: what is at e's path may be the next
// generation's file, and whole.
func (t *Tree) Mend(e manifest.Entry, f *File) error {
	if err := t.unchanging(e.Path); err != nil {
		return errors.Join(err, f.Discard())
	}
	damaged, err := t.openDamaged(e.Path)
	if errors.Is(err, fs.ErrNotExist) || fault.KindOf(err) == fault.Hostile || t.forgetful || err == nil && t.isKept(damaged, e.Path) {
		if damaged != nil {
			damaged.Close()
		}
		return f.Land(e.Path)
	}
	if err != nil {
		return errors.Join(t.explain("tree: mend", e.Path, err), f.Discard())
	}
	// Which file that is does not change any more, whoever takes over: it had
	// this name while the tree was still ours.
	if t.isFenced() {
		return errors.Join(t.fenced(), damaged.Close(), f.Discard())
	}
	t.cfg.Crash("mend")
	_, err = f.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(damaged, f)
	}
	err = errors.Join(err, damaged.Truncate(e.Size), damaged.Sync(), damaged.Close())
	if Unreadable(err) {
		return f.Land(e.Path) // the disk takes nothing in that place any more
	}
	return t.explain("tree: mend", e.Path, errors.Join(err, f.Discard()))
}

// isKept tells whether f, which lies at p, is content that the state keeps under
// its digest: that is whole, only not what belongs there.
func (t *Tree) isKept(f *os.File, p string) bool {
	got, err := t.Hash(p)
	if err != nil {
		return false
	}
	kept, err := os.Stat(t.blobPath("index", got.Digest))
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && os.SameFile(st, kept)
}

// unchanging refuses to mend p while a commit is under way.
func (t *Tree) unchanging(p string) error {
	open, err := t.underWay()
	if err == nil && len(open) > 0 {
		err = &fault.Error{Kind: fault.Early, Op: "tree: mend", Subject: p, Err: errors.New("a commit is under way"), Advice: "nothing to do: the next run finishes it first"}
	}
	return err
}

// openDamaged opens the regular file at p for writing.
func (t *Tree) openDamaged(p string) (*os.File, error) {
	if err := CheckPath(p); err != nil {
		return nil, err
	}
	fd := -1
	err := t.at(p, false, func(dir int, base string) (err error) {
		fd, err = unix.Openat(dir, base, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EISDIR):
		return nil, t.irregular("tree: mend", p, fs.ModeIrregular)
	case err != nil:
		return nil, err
	}
	f := os.NewFile(uintptr(fd), p)
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = t.irregular("tree: mend", p, st.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Kept proves the content that the state keeps for an index, and returns a copy
// in the stage for p; ok is false if there is none, or it is damaged too.
func (t *Tree) Kept(d manifest.Digest, p string) (_ *File, ok bool, err error) {
	in, err := t.OpenIndex(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer in.Close()
	f, err := t.CreateFor(p)
	if err != nil {
		return nil, false, err
	}
	if _, err = io.Copy(f.File, in); err != nil {
		return nil, false, errors.Join(fmt.Errorf("tree: copy index content %s: %w", d, err), f.Discard())
	}
	got, err := hashOf(f.File)
	if err == nil && got == d {
		return f, true, nil
	}
	return nil, false, errors.Join(err, f.Discard())
}
