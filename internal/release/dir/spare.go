package dir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
)

// spareName is where a directory p is kept that no readable view leads to, "" for nowhere.
func (r *Region) spareName(p string) string {
	name := url.PathEscape(p)
	if len(name) > unix.NAME_MAX || name[0] == '.' {
		return ""
	}
	return r.path(spare, name)
}

// canSpare tells whether the wide directory p is worth keeping.
func (s *session) canSpare(dir *os.File, p string) bool {
	name := s.spareName(p)
	return name != "" && !exists(name) && tellsInodes(dir)
}

// tellsInodes tells whether a list of names has the inodes that stat tells. On
// overlays and some file systems in user space it has others.
func tellsInodes(dir *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(dir.Fd()), &st) != nil {
		return false
	}
	return slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC}, int64(st.Type))
}

// keepSpare keeps physical directory p of view k for the next view. It goes
// through the stage, so that a fenced run cannot.
func (s *session) keepSpare(k int64, p string) error {
	temp := s.temp()
	s.Crash("spare/take")
	err := durable.Rename(s.view(k, p), temp)
	if err == nil {
		s.Crash("spare/keep")
		err = durable.Rename(temp, s.spareName(p))
	}
	return err
}

// dropSpares discards spares of directories that the view n has no longer.
func (s *session) dropSpares(n int64) error {
	entries, err := os.ReadDir(s.path(spare))
	if err != nil {
		return fmt.Errorf("dir: expire: %w", err)
	}
	for _, e := range entries {
		p, err := url.PathUnescape(e.Name())
		if err != nil {
			return fmt.Errorf("dir: expire: %w", err)
		}
		at, err := s.locate(p, n, map[string]int64{})
		if err == nil && at == 0 {
			err = s.discard(s.path(spare, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fromSpare makes the directory to from a spare; done is false if there is none
// of use. In the stage nobody reads it, and what becomes of it if this run ends
// is the next one's to remove.
func (c *change) fromSpare(to string) (done bool, err error) {
	name := c.b.spareName(c.p)
	if name == "" || !exists(name) {
		return false, nil
	}
	if err := durable.Rename(name, to); err != nil {
		return false, fmt.Errorf("dir: build view: %w", err)
	}
	c.b.Crash("spare/taken")
	keep, err := c.keeper(to)
	if err != nil {
		return false, err
	}
	done, err = keep.equalize()
	if err = errors.Join(err, keep.close()); err != nil || done {
		return done, err
	}
	c.kept = 0
	return false, removeAll(to)
}

// equalize gives the new directory the names of the old one that stay as they
// are, and no others. Names with the same inode in both are the same. It
// returns false if the lists of names do not tell inodes.
func (k *keeper) equalize() (bool, error) {
	var d difference
	if ok, err := d.find(k.old, k.new); err != nil || !ok {
		return false, err
	}
	k.kept = d.both
	for name := range d.new {
		if err := unix.Unlinkat(int(k.new.Fd()), name, 0); err != nil {
			return false, fmt.Errorf("dir: build view: remove %s: %w", name, err)
		}
	}
	for name := range d.old {
		if k.changes(name) {
			continue
		}
		st, err := os.Lstat(filepath.Join(k.b.view(k.k, k.p), name))
		if err == nil {
			err = k.entry(fs.FileInfoToDirEntry(st))
		}
		if err != nil {
			return false, fmt.Errorf("dir: read view: %w", err)
		}
		k.kept++
	}
	return true, k.replaceAll()
}

// replaceAll notes where what changes is now, and takes it out of the new directory.
func (k *keeper) replaceAll() error {
	names := map[string]bool{}
	for name := range k.n.files {
		names[name] = true
	}
	for name := range k.n.dirs {
		names[name] = true
	}
	for name := range names {
		st, err := os.Lstat(filepath.Join(k.b.view(k.k, k.p), name))
		if err == nil {
			err = k.replace(fs.FileInfoToDirEntry(st))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch err := unix.Unlinkat(int(k.new.Fd()), name, 0); {
		case err == nil:
			k.kept--
		case err != unix.ENOENT:
			return fmt.Errorf("dir: build view: remove %s: %w", name, err)
		}
	}
	return nil
}

// difference is what one directory has and another has not, by inode. Both are
// read at once: as file systems list the names of both in about the same order,
// little has to be remembered.
type difference struct {
	old, new map[string]uint64
	both     int // names with the same inode
}

// proved is how many inodes of a list are compared with what stat tells.
const proved = 8

// find compares two directories; ok is false if their lists tell no inodes.
func (d *difference) find(old, made *os.File) (ok bool, err error) {
	d.old, d.new = map[string]uint64{}, map[string]uint64{}
	a, b := listing{fd: int(old.Fd())}, listing{fd: int(made.Fd())}
	for {
		if err := errors.Join(a.next(), b.next()); err != nil {
			return false, fmt.Errorf("dir: read view: %w", err)
		}
		if a.name == nil && b.name == nil {
			return true, nil
		}
		if a.name != nil && bytes.Equal(a.name, b.name) {
			if a.ino == b.ino {
				d.both++
			} else {
				d.old[string(a.name)], d.new[string(b.name)] = a.ino, b.ino
			}
		} else {
			d.meet(&a, d.old, d.new)
			d.meet(&b, d.new, d.old)
		}
		if d.both <= proved && b.name != nil && !b.proves() {
			return false, nil
		}
	}
}

// meet adds a name to mine, or takes it off the others if it has the same inode there.
func (d *difference) meet(l *listing, mine, others map[string]uint64) {
	if l.name == nil {
		return
	}
	if ino, ok := others[string(l.name)]; ok && ino == l.ino {
		delete(others, string(l.name))
		d.both++
		return
	}
	mine[string(l.name)] = l.ino
}

// listing reads the names in a directory with their inodes, which os.ReadDir does not tell.
type listing struct {
	fd   int
	buf  [64 << 10]byte
	rest []byte
	name []byte // until the next call; nil at the end
	ino  uint64
}

// The places of what a struct linux_dirent64 holds, getdents64(2).
const direntLen, direntName = 16, 19

func (l *listing) next() error {
	for {
		l.name = nil
		if len(l.rest) == 0 {
			n, err := unix.Getdents(l.fd, l.buf[:])
			if err != nil || n <= 0 {
				return err
			}
			l.rest = l.buf[:n]
		}
		e := l.rest[:binary.NativeEndian.Uint16(l.rest[direntLen:])]
		l.rest = l.rest[len(e):]
		l.ino = binary.NativeEndian.Uint64(e)
		l.name, _, _ = bytes.Cut(e[direntName:], []byte{0})
		if string(l.name) != "." && string(l.name) != ".." {
			return nil
		}
	}
}

// proves tells whether stat says the same inode of the name.
func (l *listing) proves() bool {
	var st unix.Stat_t
	return unix.Fstatat(l.fd, string(l.name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == l.ino
}
