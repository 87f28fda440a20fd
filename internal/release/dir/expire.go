package dir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
// Directories below it may still serve newer views; they have lines of their own.
func (s *session) clearDir(k int64, p string) error {
	name := s.view(k, p)
	entries, err := os.ReadDir(name)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("dir: expire: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := s.discard(filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	s.removeEmpty(k, p)
	return nil
}
