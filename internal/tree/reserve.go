package tree

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
)

// The reserve is a file in the state that nobody reads. On a full disk it is
// given up, so that there are blocks for a lease, and for deleting what is due.
const (
	reserveFile = "reserve"
	reserveSize = 1 << 20 // bytes
)

// UseReserve gives the reserve up if the state's disk has less room than that.
func (t *Tree) UseReserve() error {
	if free, err := t.stateFree(); err != nil || free >= reserveSize {
		return err
	}
	return t.giveUp()
}

func (t *Tree) giveUp() error {
	if err := os.Remove(t.statePath(reserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t.explain("tree: use reserve", t.cfg.State, err)
	}
	return nil
}

// KeepReserve makes the reserve where it is missing and the disk has room for
// it many times over.
func (t *Tree) KeepReserve() error {
	if _, err := os.Lstat(t.statePath(reserveFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if free, err := t.stateFree(); err != nil || free < 4*reserveSize {
		return err
	}
	data := make([]byte, reserveSize)
	rand.Read(data) // zeros may take no room
	if err := durable.ReplaceBy(t.tempName(), t.statePath(reserveFile), data); err != nil && !durable.IsFull(err) {
		return t.explain("tree: reserve", t.cfg.State, err)
	}
	return nil // others were faster: the next one that tends makes it
}

// Room returns the bytes that an ordinary user may write to the state's file
// system, where contents of indexes are kept, beside the minFree bytes that are
// to stay free on the tree's: they count if both are one.
func (t *Tree) Room(minFree int64) (int64, error) {
	var state, data unix.Stat_t
	free, err := t.stateFree()
	if err == nil {
		err = errors.Join(unix.Stat(t.cfg.State, &state), unix.Stat(t.cfg.Dir, &data))
	}
	if err != nil {
		return 0, t.explain("tree: free space of", t.cfg.State, err)
	}
	if state.Dev == data.Dev {
		free -= minFree
	}
	return free, nil
}

func (t *Tree) stateFree() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(t.cfg.State, &st); err != nil {
		return 0, t.explain("tree: free space of", t.cfg.State, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
