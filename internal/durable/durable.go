// Package durable writes files whole and makes them last, also across a power cut; nothing else renames.
//
// A rename is atomic, and it lasts once its directory is synced. A file that is
// renamed before its bytes are on the disk may be empty after a power cut: so
// they are synced first, one by one (Replace, Create) or all of a file system at
// once (Disks).
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
)

// Create makes a new file, and fails with fs.ErrExist where there is one. The
// bytes last; its name does after SyncDir.
func Create(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return explain(name, err)
	}
	if err := fill(f, data); err != nil {
		return explain(name, errors.Join(err, os.Remove(name))) // a part of it says nothing
	}
	return nil
}

// Replace writes a file whole in the place of what has its name. Readers see the
// old one or the new one, never a part; after it returns the new one lasts.
func Replace(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return explain(name, err)
	}
	err = f.Chmod(mode)
	if err = errors.Join(err, fill(f, data)); err == nil {
		err = Move(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return explain(name, err)
}

// ReplaceBy is Replace by way of a temporary name that the caller chose, so that
// whoever removes the directory of that name stops the writer.
func ReplaceBy(temp, name string, data []byte) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return explain(name, err)
	}
	if err := fill(f, data); err != nil {
		return explain(name, err)
	}
	return Move(temp, name)
}

func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// Move renames a file, and makes that last.
func Move(from, to string) error {
	if err := Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// Rename renames a file. It lasts after SyncDir, or after a sync of the file system.
func Rename(from, to string) error { return os.Rename(from, to) }

// RenameAt is Rename of names in open directories, or of paths with unix.AT_FDCWD.
func RenameAt(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat(fromDir, from, toDir, to)
}

// SyncDir makes the names in a directory last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// IsFull tells whether err says that a disk or a quota is full.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// NoSpace turns the error of a full disk into fault.NoSpace, and leaves any other.
func NoSpace(op, subject string, err error) error {
	if err == nil || !IsFull(err) || errors.Is(err, fault.NoSpace) {
		return err
	}
	return &fault.Error{Kind: fault.NoSpace, Op: op, Subject: subject, Err: err, Advice: "free space or raise the quota"}
}

func explain(name string, err error) error {
	if err = NoSpace("durable: write", name, err); err == nil || errors.Is(err, fault.NoSpace) {
		return err
	}
	return fmt.Errorf("durable: write %s: %w", name, err)
}
