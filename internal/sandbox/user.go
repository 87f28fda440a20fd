package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// user is a user that runs one command. Its lock says that the worker which
// holds it is alive: the kernel drops it with the worker.
type user struct {
	uid  int
	lock *os.File
}

// take finds a user that no other worker has.
func (s *Sandbox) take() (*user, error) {
	for uid := s.cfg.FirstUID; uid < s.cfg.FirstUID+s.cfg.UIDs; uid++ {
		u, err := s.lock(uid)
		if u != nil || err != nil {
			return u, err
		}
	}
	return nil, missing(fmt.Sprintf("one of %d users from %d on", s.cfg.UIDs, s.cfg.FirstUID), nil, "all are in use: run fewer builds at a time")
}

// lock takes one user; nil if another worker has it.
func (s *Sandbox) lock(uid int) (*user, error) {
	f, err := os.OpenFile(filepath.Join(s.cfg.Run, strconv.Itoa(uid)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, missing("lock file", err, "make "+s.cfg.Run+" writable")
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, f.Close()
	case err != nil:
		return nil, errors.Join(fmt.Errorf("sandbox: lock %s: %w", f.Name(), err), f.Close())
	}
	return &user{uid, f}, nil
}

// release leaves the lock file where it is: removing it could take it from under
// another worker that has just opened it.
func (u *user) release() { _ = u.lock.Close() }

func (s *Sandbox) group(u *user) group { return group{s.groups, strconv.Itoa(u.uid)} }

// sweep ends what commands of dead workers left: their cgroups, whose users nobody holds.
func (s *Sandbox) sweep() error {
	for _, name := range s.groups.names() {
		uid, err := strconv.Atoi(name)
		if err != nil || uid < s.cfg.FirstUID || uid >= s.cfg.FirstUID+s.cfg.UIDs {
			continue
		}
		u, err := s.lock(uid)
		if err != nil {
			return err
		}
		if u == nil {
			continue
		}
		err = s.group(u).remove()
		u.release()
		if err != nil {
			return err
		}
	}
	return nil
}
