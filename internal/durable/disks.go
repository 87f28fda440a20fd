package durable

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Disks are the file systems below some directories, held open by who writes to
// them. Linux tells an error of writing back once to each descriptor that was
// open when it came (syncfs(2), since 5.8): one that is opened for the sync learns
// of it only if nobody else has, and then the bytes of this writer are lost
// without a word. So who writes opens them before its first byte.
type Disks struct {
	mu   sync.Mutex
	open map[uint64]*os.File // by device
	lost error               // a file system that lost something once is not believed again
}

// syncfs is replaced by tests.
var syncfs = func(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// Hold opens the file systems of directories, each once. The caller closes them.
func Hold(dirs ...string) (*Disks, error) {
	d := &Disks{open: map[uint64]*os.File{}}
	for _, dir := range dirs {
		if _, err := d.hold(dir); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

func (d *Disks) hold(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("durable: hold: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(fmt.Errorf("durable: hold %s: %w", dir, err), f.Close())
	}
	if have := d.open[st.Dev]; have != nil {
		return have, f.Close()
	}
	d.open[st.Dev] = f
	return f, nil
}

// Sync makes everything last that was written since Hold. What was lost
// since then, by whoever's write, is an error now and at each later call.
func (d *Disks) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.open {
		d.sync(f)
	}
	return d.lost
}

// SyncOf is Sync of the file system of one of the directories.
func (d *Disks) SyncOf(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.hold(dir)
	if err != nil {
		return err
	}
	d.sync(f)
	return d.lost
}

func (d *Disks) sync(f *os.File) {
	if err := syncfs(f); err != nil {
		d.lost = errors.Join(d.lost, NoSpace("durable: sync", f.Name(), fmt.Errorf("durable: sync the file system of %s: %w", f.Name(), err)))
	}
}

// Close lets go of the file systems. A nil Disks holds none.
func (d *Disks) Close() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []error
	for _, f := range d.open {
		all = append(all, f.Close())
	}
	d.open = nil
	return errors.Join(all...)
}
