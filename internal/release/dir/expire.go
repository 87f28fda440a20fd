package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// expire withdraws the generations that are no longer readable. Their records
// go last, so that a run that is cut off finds the same ones again.
func (s *session) expire(ctx context.Context, v *survey, out *backend.Reaped) error {
	for _, n := range v.expired {
		if err := s.discard(s.snapshot(n)); err != nil {
			return err
		}
	}
	for _, n := range v.replaced {
		if err := s.clear(ctx, n); err != nil {
			return err
		}
	}
	if err := s.dropSpares(v.cur.Number); err != nil {
		return err
	}
	if len(v.expired) == 0 {
		return nil
	}
	if err := s.sweep(v.kept); err != nil {
		return err
	}
	for _, n := range v.expired {
		if err := s.discard(s.path("gens", strconv.FormatInt(n, 10))); err != nil {
			return err
		}
		out.Expired++
	}
	return nil
}

// clear removes the physical directories that generation n replaced.
func (s *session) clear(ctx context.Context, n int64) error {
	for line, err := range s.lines("replaced", n) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		number, p, _ := strings.Cut(string(line), "/")
		k, err := strconv.ParseInt(number, 10, 64)
		if err != nil || (p != "." && p != own && tree.CheckPath(p) != nil) {
			return &fault.Error{Kind: fault.Corrupt, Op: "dir: read", Subject: s.path("replaced", strconv.FormatInt(n, 10)),
				Err: fmt.Errorf("line %.80q", line), Advice: "rebuild the region"}
		}
		if err := s.clearDir(k, p); err != nil {
			return err
		}
	}
	return s.discard(s.path("replaced", strconv.FormatInt(n, 10)))
}

// clearDir removes what physical directory p of view k holds itself.
// Directories below it may still serve newer views; they have lines of their
// own. A wide one becomes a spare, or goes as a whole.
func (s *session) clearDir(k int64, p string) error {
	dir, err := os.Open(s.view(k, p))
	if os.IsNotExist(err) {
		s.removeEmpty(k, p)
		return nil
	}
	if err != nil {
		return fmt.Errorf("dir: expire: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("dir: expire: %w", err)
	}
	wide := len(entries) > s.Wide
	switch {
	case !wide:
		err = s.clearNames(dir, entries)
	case slices.ContainsFunc(entries, fs.DirEntry.IsDir):
		err = s.discardNames(k, p, entries)
	case s.canSpare(dir, p):
		err = s.keepSpare(k, p)
	default:
		err = s.discard(s.view(k, p))
	}
	if err != nil {
		return fmt.Errorf("dir: expire: %w", err)
	}
	s.removeEmpty(k, p)
	return nil
}

// clearNames removes names where they lie, which costs a third: no view that can
// be read leads here, and none will, so a run that wakes up late harms nobody.
func (s *session) clearNames(dir *os.File, entries []fs.DirEntry) error {
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		s.Crash("clear")
		if err := unix.Unlinkat(int(dir.Fd()), e.Name(), 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// discardNames removes the names in a directory that may become a spare when
// the directories in it are gone, and so lie in a view again.
func (s *session) discardNames(k int64, p string, entries []fs.DirEntry) error {
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := s.discard(s.view(k, path.Join(p, e.Name()))); err != nil {
			return err
		}
	}
	return nil
}
