package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
)

// maxDirs bounds the directories that are held open.
const maxDirs = 512

// dirs holds directories of a tree open. Each was opened below its parent
// without following a link, so a path that goes through them has none: os.Root
// would follow links that stay inside, and one path could name two places. It
// would also open every directory on the way again for each file.
type dirs struct {
	root  string      // the tree's directory
	fresh atomic.Bool // the last directory that was wanted had to be made

	mu   sync.Mutex
	open map[string]*dir
}

// dir is an open directory. It is closed when it is neither known nor in use.
type dir struct {
	fd      int
	users   int
	unknown bool
}

// get opens the directory name below the root, "." for the root itself. With
// create, those that are missing on the way are made. The caller puts it back.
func (ds *dirs) get(name string, create bool) (*dir, error) {
	if d := ds.known(name); d != nil {
		return d, nil
	}
	if name == "." {
		fd, err := unix.Open(ds.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: ds.root, Err: err}
		}
		return ds.add(name, fd), nil
	}
	parent, err := ds.get(path.Dir(name), create)
	if err != nil {
		return nil, err
	}
	defer ds.put(parent)
	fd, err := ds.enter(parent.fd, name, create)
	if err != nil {
		return nil, err
	}
	return ds.add(name, fd), nil
}

// enter opens a directory below its parent, and makes it if it is wanted and
// not there. Where the last one had to be made, it makes the next one first:
// a new mirror has none of its directories, an old one nearly all.
func (ds *dirs) enter(parent int, name string, create bool) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	base := path.Base(name)
	made := false
	if create && ds.fresh.Load() {
		made = unix.Mkdirat(parent, base, 0o755) == nil
		ds.fresh.Store(made)
	}
	fd, err := unix.Openat(parent, base, flags, 0)
	if err == unix.ENOENT && create && !made {
		if err = unix.Mkdirat(parent, base, 0o755); err == nil || err == unix.EEXIST {
			ds.fresh.Store(err == nil)
			fd, err = unix.Openat(parent, base, flags, 0)
		}
	}
	switch err {
	case nil:
		return fd, nil
	case unix.ENOTDIR, unix.ELOOP:
		return 0, &fault.Error{Kind: fault.Hostile, Op: "tree: use directory", Subject: filepath.Join(ds.root, name),
			Err: fmt.Errorf("it is a %s", typeAt(parent, base)), Advice: "remove it: a mirror's tree holds no links, and no file where a directory belongs"}
	}
	return 0, &fs.PathError{Op: "open", Path: filepath.Join(ds.root, name), Err: err}
}

func (ds *dirs) known(name string) *dir {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.open[name]
	if d != nil {
		d.users++
	}
	return d
}

func (ds *dirs) add(name string, fd int) *dir {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.open[name]; d != nil { // somebody was faster
		_ = unix.Close(fd)
		d.users++
		return d
	}
	if len(ds.open) >= maxDirs {
		ds.makeRoom()
	}
	d := &dir{fd: fd, users: 1}
	ds.open[name] = d
	return d
}

// makeRoom forgets directories. Shallow ones are wanted again soon.
func (ds *dirs) makeRoom() {
	for _, depth := range []int{2, 0} {
		for name, d := range ds.open {
			if strings.Count(name, "/") >= depth && d.users == 0 {
				delete(ds.open, name)
				d.forget()
			}
		}
		if len(ds.open) < maxDirs/2 {
			return
		}
	}
}

// put gives a directory back.
func (ds *dirs) put(d *dir) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d.users--; d.users == 0 && d.unknown {
		_ = unix.Close(d.fd)
	}
}

// forget drops a directory that is gone.
func (ds *dirs) forget(name string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.open[name]; d != nil {
		delete(ds.open, name)
		d.forget()
	}
}

// forgetRemoved drops those directories on the way to name that were removed
// since, perhaps by another process, and reports whether there were any.
func (ds *dirs) forgetRemoved(name string) (found bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for ; name != "."; name = path.Dir(name) {
		d := ds.open[name]
		if d == nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(d.fd, &st) == nil && st.Nlink > 0 {
			break
		}
		delete(ds.open, name)
		d.forget()
		found = true
	}
	return found
}

// forget closes d now, or when its last user has put it back.
func (d *dir) forget() {
	d.unknown = true
	if d.users == 0 {
		_ = unix.Close(d.fd)
	}
}

func (ds *dirs) close() {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for name, d := range ds.open {
		delete(ds.open, name)
		d.forget()
	}
}

// typeAt names what lies at a place, as the text of its mode does.
func typeAt(parent int, base string) fs.FileMode {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fs.ModeIrregular
	}
	return fileType(st.Mode)
}

func fileType(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	}
	return fs.ModeDevice
}

// at calls f with the directory that holds p, and p's name in it. The error is
// fault.Hostile if there is a link on the way, fs.ErrNotExist if the directory
// is not there and create is not set.
func (t *Tree) at(p string, create bool, f func(dir int, base string) error) error {
	dir, base := path.Dir(p), path.Base(p)
	for again := false; ; again = true {
		d, err := t.dirs.get(dir, create)
		if err == nil {
			err = f(d.fd, base)
			t.dirs.put(d)
		}
		if errors.Is(err, unix.EINTR) { // network file systems
			continue
		}
		if again || !errors.Is(err, fs.ErrNotExist) || !t.dirs.forgetRemoved(dir) {
			return err
		}
	}
}

// irregular says that p is something that a mirror never made.
func (t *Tree) irregular(op, p string, mode fs.FileMode) error {
	return &fault.Error{Kind: fault.Hostile, Op: op, Subject: filepath.Join(t.cfg.Dir, p), Err: fmt.Errorf("it is a %s", mode),
		Advice: "remove it: a mirror's tree holds regular files only"}
}
