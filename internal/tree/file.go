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
	"strconv"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// File is a file on its way into the tree. It is written, then landed or
// discarded. It satisfies the sink that a download wants.
type File struct {
	*os.File
	tree *Tree
}

// Create opens a new file in the stage.
func (t *Tree) Create() (*File, error) {
	name := filepath.Join(t.stageDir(), "f"+strconv.FormatInt(t.seq.Add(1), 10)+"."+t.nonce)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, t.explain("tree: create", name, err)
	}
	return &File{File: f, tree: t}, nil
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
	if err := f.Close(); err != nil {
		return f.tree.explain("tree: write", p, err)
	}
	return f.tree.land(f.Name(), p)
}

// land renames a staged file into place.
func (t *Tree) land(staged, p string) error {
	if err := CheckPath(p); err != nil {
		os.Remove(staged)
		return err
	}
	if err := t.realDir(path.Dir(p)); err != nil {
		os.Remove(staged)
		return err
	}
	from, err := filepath.Rel(t.cfg.Dir, staged)
	if err != nil {
		return err
	}
	t.cfg.Crash("land")
	err = t.root.Rename(from, p)
	if errors.Is(err, fs.ErrNotExist) && !t.isFenced() {
		// The directory was pruned after we had seen it.
		t.forgetDir(path.Dir(p))
		if err = t.realDir(path.Dir(p)); err == nil {
			err = t.root.Rename(from, p)
		}
	}
	return t.explain("tree: land", p, err)
}

// discard moves a file of the tree into the trash. A missing file is no error.
func (t *Tree) discard(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	to := path.Join(private, "trash", strconv.FormatInt(t.epoch, 10), strconv.FormatInt(t.seq.Add(1), 10)+"."+t.nonce)
	t.cfg.Crash("discard")
	err := t.root.Rename(p, to)
	if errors.Is(err, fs.ErrNotExist) {
		if t.isFenced() {
			return t.fenced()
		}
		return nil
	}
	if err != nil {
		return t.explain("tree: discard", p, err)
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if t.root.Remove(dir) != nil {
			break
		}
		t.forgetDir(dir)
	}
	return nil
}

// Stat returns the size of the regular file at p; ok is false if there is none.
// A link or a special file there is fault.Hostile.
func (t *Tree) Stat(p string) (size int64, ok bool, err error) {
	if err := CheckPath(p); err != nil {
		return 0, false, err
	}
	st, err := t.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("tree: stat %s: %w", p, err)
	case !st.Mode().IsRegular():
		return 0, false, &fault.Error{Kind: fault.Hostile, Op: "tree: stat", Subject: filepath.Join(t.cfg.Dir, p),
			Err: fmt.Errorf("it is a %s", st.Mode().Type()), Advice: "remove it: a mirror's tree holds regular files only"}
	}
	return st.Size(), true, nil
}

// OpenFile opens the file at p for reading.
func (t *Tree) OpenFile(p string) (*os.File, error) {
	if err := CheckPath(p); err != nil {
		return nil, err
	}
	return t.root.Open(p)
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
