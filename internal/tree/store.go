package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/manifest"
)

func (t *Tree) tempName() string {
	return filepath.Join(t.tmpDir(), strconv.FormatInt(t.seq.Add(1), 10)+"."+t.nonce)
}

// writeState replaces a file of the state durably; a fenced run cannot.
func (t *Tree) writeState(data []byte, elem ...string) error {
	name := t.statePath(elem...)
	t.cfg.Crash("state/" + elem[0])
	if err := t.stateDir(filepath.Dir(name)); err != nil {
		return err
	}
	return t.explain("tree: write", name, durable.ReplaceBy(t.tempName(), name, data))
}

func (t *Tree) stateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t.explain("tree: make", dir, err)
	}
	return nil
}

// dropState takes a file out of the state by renaming it into tmp.<epoch>: a fenced run cannot.
func (t *Tree) dropState(elem ...string) error {
	name := t.statePath(elem...)
	t.cfg.Crash("drop-state/" + elem[0])
	err := durable.Rename(name, t.tempName())
	if errors.Is(err, fs.ErrNotExist) && !t.isFenced() {
		return nil
	}
	return t.explain("tree: remove", name, err)
}

// putBlob stores data under dir/<xx>/<digest>, unless it is there and whole. It
// is durable after the next Sync.
func (t *Tree) putBlob(kind string, d manifest.Digest, data []byte) error {
	name := t.blobPath(kind, d)
	if st, err := os.Stat(name); err == nil && st.Size() == int64(len(data)) {
		if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, data) {
			return nil
		}
	}
	temp := t.tempName()
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return t.explain("tree: write", name, err)
	}
	return t.explain("tree: write", name, t.moveBlob(temp, name))
}

// moveBlob renames a file to its place in the state, whose directory may not be
// there: one that has become empty is removed, perhaps at this moment by a run
// that woke up late.
func (t *Tree) moveBlob(temp, name string) (err error) {
	for range 2 {
		if err := t.stateDir(filepath.Dir(name)); err != nil {
			return err
		}
		if err = durable.Rename(temp, name); !errors.Is(err, fs.ErrNotExist) || t.isFenced() {
			return err
		}
	}
	return err
}

func (t *Tree) blobPath(kind string, d manifest.Digest) string {
	s := d.String()
	return t.statePath(kind, s[:2], s)
}

// ReadSegment implements manifest.Store.
func (t *Tree) ReadSegment(d manifest.Digest) ([]byte, error) {
	return os.ReadFile(t.blobPath("segments", d))
}

// ReadSegmentAt implements manifest.BlockStore.
func (t *Tree) ReadSegmentAt(d manifest.Digest, buf []byte, offset int64) error {
	return ReadAt(t.blobPath("segments", d), buf, offset)
}

// ReadAt fills buf from a file, from offset bytes behind its beginning.
func ReadAt(name string, buf []byte, offset int64) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	for read := 0; read < len(buf); {
		n, err := unix.Pread(fd, buf[read:], offset+int64(read))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return &fs.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			return &fs.PathError{Op: "read", Path: name, Err: io.ErrUnexpectedEOF}
		}
		read += max(n, 0)
	}
	return nil
}

// WriteSegment implements manifest.Store.
func (t *Tree) WriteSegment(d manifest.Digest, data []byte) error {
	return t.putBlob("segments", d, data)
}

// PutIndex keeps the content of an index file for a later Commit, and for as
// long as a generation that names it is kept.
func (t *Tree) PutIndex(data []byte) (manifest.Digest, error) {
	d := manifest.Digest(sha256.Sum256(data))
	if err := t.spend(&t.stateWatch, t.cfg.State, len(data), t.stateFree); err != nil {
		return d, err
	}
	return d, t.putBlob("index", d, data)
}

// PutIndexFile keeps a staged file as the content of an index; it is discarded from the stage.
func (t *Tree) PutIndexFile(f *File, d manifest.Digest) error {
	name := t.blobPath("index", d)
	if err := f.Close(); err != nil {
		return err
	}
	err := t.moveBlob(f.Name(), name)
	if errors.Is(err, unix.EXDEV) {
		temp := t.tempName()
		if err = t.copyFile(f.Name(), temp); err == nil {
			err = errors.Join(t.moveBlob(temp, name), os.Remove(f.Name()))
		}
	}
	return t.explain("tree: keep index", name, err)
}

// KeepFile keeps a copy of a proved file of this host, of digest d, as PutIndex
// keeps data; where it can be, the copy is a hard link.
func (t *Tree) KeepFile(name string, d manifest.Digest) error {
	to := t.blobPath("index", d)
	temp := t.tempName()
	err := os.Link(name, temp)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = t.copyFile(name, temp)
	}
	if err == nil {
		err = t.moveBlob(temp, to)
	}
	return t.explain("tree: keep", name, err)
}

// HasIndex reports whether content of that digest and size in bytes is kept.
func (t *Tree) HasIndex(d manifest.Digest, size int64) bool {
	st, err := os.Stat(t.blobPath("index", d))
	return err == nil && st.Size() == size
}

// OpenIndex opens the content of an index file by its digest.
func (t *Tree) OpenIndex(d manifest.Digest) (*os.File, error) {
	f, err := os.Open(t.blobPath("index", d))
	if err != nil {
		return nil, fmt.Errorf("tree: index content %s: %w", d, err)
	}
	return f, nil
}

// LandIndex places kept content at p at once: for immutable files whose content is an index (by-hash).
func (t *Tree) LandIndex(d manifest.Digest, p string) error {
	dir, err := t.pass(stage, p)
	if err != nil {
		return err
	}
	staged := filepath.Join(dir, "i"+strconv.FormatInt(t.seq.Add(1), 10)+"."+t.nonce)
	blob := t.blobPath("index", d)
	err = os.Link(blob, staged)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // another file system, or one that cannot: AFS links within a directory only
		err = t.copyFile(blob, staged)
	}
	if err != nil {
		return t.explain("tree: stage index", p, err)
	}
	if err := t.land(staged, p); err != nil {
		return err
	}
	// Renaming one link of a file onto another does nothing and leaves both.
	os.Remove(staged)
	return nil
}

func (t *Tree) copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return t.finish(out)
}
