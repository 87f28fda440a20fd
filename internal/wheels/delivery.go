package wheels

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// What a build worker delivers is a claim of somebody who may have been taken
// over: names are checked here, and files are opened one directory at a time, no
// element of which may be a link.

// attemptForm is what a workflow calls an attempt; classForm is what a class of
// failure looks like.
var (
	attemptForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,199}$`)
	classForm   = regexp.MustCompile(`^[a-z][a-z-]{0,39}$`)
)

// ValidAttempt reports whether an attempt may be called so: what it names is one
// directory among the platform's inboxes, and no other place.
func ValidAttempt(name string) bool { return attemptForm.MatchString(name) }

// checked is the delivery as far as its words can be taken: without its files
// if the attempt names no inbox.
func (d Delivery) checked() Delivery {
	switch {
	case d.Attempt != "" && !ValidAttempt(d.Attempt):
		message := fmt.Sprintf("the builder names %s as its attempt, which is none", fault.Line(fmt.Sprintf("%q", d.Attempt), 100))
		return Delivery{Class: string(fault.Hostile), Message: message}
	case d.Class != "" && !classForm.MatchString(d.Class):
		d.Class = "unknown"
	}
	return d
}

// clear removes the attempt's inbox; a link that stands in its place goes, and
// not what it names.
func (s Store) clear(platform string, d Delivery) error {
	if !ValidAttempt(d.Attempt) {
		return nil
	}
	inbox, err := os.OpenRoot(s.path("inbox", platform))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(inbox.RemoveAll(d.Attempt), inbox.Close())
	}
	if err != nil {
		return fmt.Errorf("wheels: clear inbox: %w", err)
	}
	return nil
}

// open opens a regular file of an inbox that has no other name.
func (s Store) open(platform string, d Delivery, name string) (*os.File, error) {
	refuse := func(kind fault.Kind, err error) error {
		return &fault.Error{Kind: kind, Op: "wheels: open delivery", Subject: fault.Line(fmt.Sprintf("%q", name), 200), Err: err}
	}
	if !ValidAttempt(d.Attempt) || name == "." || !fs.ValidPath(name) || strings.Contains(name, "/") {
		return nil, refuse(fault.Hostile, errors.New("it is not a name in the inbox"))
	}
	f, err := openBelow(s.path("inbox"), platform, d.Attempt, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, refuse(fault.Unproved, err)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENXIO):
		return nil, refuse(fault.Hostile, err)
	case err != nil:
		return nil, fmt.Errorf("wheels: open delivery: %w", err)
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1) {
		err = errors.New("not a regular file of one name")
	}
	if err != nil {
		return nil, refuse(fault.Hostile, errors.Join(err, f.Close()))
	}
	return f, nil
}

// openBelow opens the last of the names, each a directory in the one before it;
// top may be reached by links, what is below it may not.
func openBelow(top string, names ...string) (*os.File, error) {
	at, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if i < len(names)-1 {
			flags |= unix.O_DIRECTORY
		} else {
			flags |= unix.O_NONBLOCK | unix.O_NOCTTY
		}
		next, err := unix.Openat(at, name, flags, 0)
		_ = unix.Close(at)
		if err != nil {
			return nil, err
		}
		at = next
	}
	return os.NewFile(uintptr(at), names[len(names)-1]), nil
}

// copyIn copies up to limit bytes of a delivered file and returns the copy's name and digest.
func (s Store) copyIn(kind string, in io.Reader, limit int64) (temp, digest string, size int64, err error) {
	if err := s.mkdir(kind); err != nil {
		return "", "", 0, err
	}
	f, err := os.CreateTemp(s.path(kind), "new.*")
	if err != nil {
		return "", "", 0, full("wheels: keep", s.path(kind), err)
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), io.LimitReader(in, limit))
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return f.Name(), "", size, full("wheels: keep", f.Name(), err)
	}
	return f.Name(), hex.EncodeToString(h.Sum(nil)), size, nil
}

func full(op, subject string, err error) error {
	if durable.IsFull(err) {
		return durable.NoSpace(op, subject, err)
	}
	return fmt.Errorf("%s %s: %w", op, subject, err)
}
