package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// File is a file on its way into the tree. It is written, then landed or
// discarded. It satisfies the sink that a download wants.
type File struct {
	*os.File
	tree *Tree
}

// Create opens a new file in the stage, for a path that may be anywhere in the tree.
func (t *Tree) Create() (*File, error) { return t.CreateFor("") }

// CreateFor opens a new file in the stage from which it can be renamed to p.
func (t *Tree) CreateFor(p string) (*File, error) {
	dir, err := t.pass(stage, p)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "f"+strconv.FormatInt(t.seq.Add(1), 10)+"."+t.nonce)
	// Not by os.OpenFile: it would ask five times whether the file can be polled.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	for errors.Is(err, unix.EINTR) { // network file systems
		fd, err = unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	}
	if err != nil {
		return nil, t.explain("tree: create", name, &fs.PathError{Op: "open", Path: name, Err: err})
	}
	return &File{File: os.NewFile(uintptr(fd), name), tree: t}, nil
}

// Reset empties the file, for a download that starts over.
func (f *File) Reset() error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// Discard removes the file.
func (f *File) Discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }

// Land closes the file and renames it to path in the tree, replacing what is
// there. The caller has proved the content. It is durable after the next Sync.
func (f *File) Land(p string) error {
	if err := f.tree.finish(f.File); err != nil {
		return f.tree.explain("tree: write", p, err)
	}
	return f.tree.land(f.Name(), p)
}

// finish closes a file that was written. Where the file system may lose it
// without an error, it is read again by its name: a FUSE client of AFS lets
// writes beyond the quota, fsync and close succeed, and then forgets them.
func (t *Tree) finish(f *os.File) error {
	if !t.forgetful {
		return f.Close()
	}
	name := f.Name()
	want, err := hashOf(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	again, err := os.Open(name)
	if err != nil {
		return err
	}
	defer again.Close()
	got, err := hashOf(again)
	if err == nil && got != want {
		err = &fault.Error{Kind: fault.NoSpace, Op: "tree: write", Subject: name,
			Err: errors.New("the file system has lost what was written"), Advice: "raise the volume's quota, or free space"}
	}
	return err
}

func hashOf(f *os.File) (manifest.Digest, error) {
	h := sha256.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return manifest.Digest{}, err
	}
	_, err := io.Copy(h, f)
	return manifest.Digest(h.Sum(nil)), err
}

// land renames a staged file into place. The stage is named by its path, never
// held open: once a newer epoch has removed it, there is nothing to rename.
func (t *Tree) land(staged, p string) error {
	if err := CheckPath(p); err != nil {
		os.Remove(staged)
		return err
	}
	rename := func() error {
		if path.Dir(path.Dir(staged)) != t.epochDir(t.partOf(p), stage) {
			return unix.EXDEV // even where the kernel would do it: fencing is by file system
		}
		return t.at(p, true, func(dir int, base string) error {
			t.cfg.Crash("land")
			return durable.RenameAt(unix.AT_FDCWD, staged, dir, base)
		})
	}
	err := rename()
	if errors.Is(err, fs.ErrNotExist) && !t.isFenced() {
		// The directory was pruned after we had opened it, on a file system that does not tell.
		t.dirs.close()
		err = rename()
	}
	if errors.Is(err, unix.EXDEV) {
		if staged, err = t.carry(staged, p); err == nil {
			err = rename()
		}
	}
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		os.Remove(staged)
		return t.irregular("tree: land", p, fs.ModeDir)
	case fault.KindOf(err) != "":
		os.Remove(staged)
		return err
	}
	return t.explain("tree: land", p, err)
}

// carry copies a staged file into the stage of the part that p is in.
func (t *Tree) carry(staged, p string) (string, error) {
	dir, err := t.pass(stage, p)
	if err != nil {
		return staged, err
	}
	to := filepath.Join(dir, path.Base(staged))
	if err := t.copyFile(staged, to); err != nil {
		return staged, err
	}
	return to, os.Remove(staged)
}

// discard moves a file of the tree into the trash. A missing file is no error.
func (t *Tree) discard(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	dir, err := t.pass(trash, p)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, strconv.FormatInt(t.seq.Add(1), 10)) // short: a long name takes two slots of an AFS directory
	t.cfg.Crash("discard")
	err = t.at(p, false, func(dir int, base string) error { return durable.RenameAt(dir, base, unix.AT_FDCWD, to) })
	if errors.Is(err, fs.ErrNotExist) {
		if t.isFenced() {
			return t.fenced()
		}
		return nil
	}
	if err != nil {
		return t.explain("tree: discard", p, err)
	}
	t.prune(path.Dir(p))
	return nil
}

// prune removes the directory p and those above it as far as they are empty.
func (t *Tree) prune(p string) {
	for ; p != "." && !slices.Contains(t.cfg.Parts, p); p = path.Dir(p) {
		err := t.at(p, false, func(dir int, base string) error { return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR) })
		if err != nil {
			return
		}
		t.dirs.forget(p)
	}
}

// Stat returns the size of the regular file at p; ok is false if there is none.
// A link or a special file there, or a link on the way, is fault.Hostile.
func (t *Tree) Stat(p string) (size int64, ok bool, err error) {
	if err := CheckPath(p); err != nil {
		return 0, false, err
	}
	var st unix.Stat_t
	err = t.at(p, false, func(dir int, base string) error { return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case fault.KindOf(err) != "":
		return 0, false, err
	case err != nil:
		return 0, false, fmt.Errorf("tree: stat %s: %w", p, err)
	case fileType(st.Mode) != 0:
		return 0, false, t.irregular("tree: stat", p, fileType(st.Mode))
	}
	return st.Size, true, nil
}

// OpenFile opens the regular file at p for reading. Links are not followed;
// anything but a regular file is fault.Hostile.
func (t *Tree) OpenFile(p string) (*os.File, error) {
	if err := CheckPath(p); err != nil {
		return nil, err
	}
	name := filepath.Join(t.cfg.Dir, p)
	fd := -1
	err := t.at(p, false, func(dir int, base string) (err error) {
		// A pipe would keep us waiting for somebody who writes to it.
		fd, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, t.irregular("tree: open", p, fs.ModeSymlink)
	case fault.KindOf(err) != "":
		return nil, err
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = t.irregular("tree: open", p, st.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Hash reads the file at p and returns its entry as an object.
func (t *Tree) Hash(p string) (manifest.Entry, error) {
	f, err := t.OpenFile(p)
	if err != nil {
		return manifest.Entry{}, fmt.Errorf("tree: hash %s: %w", p, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return manifest.Entry{}, fmt.Errorf("tree: hash %s: %w", p, err)
	}
	return manifest.Entry{Path: p, Kind: manifest.Object, Size: n, Digest: manifest.Digest(h.Sum(nil))}, nil
}

// Unreadable tells whether err, of reading or writing a file, says that the disk
// has lost it: that is damage, as wrong bytes are.
func Unreadable(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EUCLEAN)
}
