package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// pulls is how many files are placed at once.
const pulls = 8

// together is how many files of a directory are placed one after the other:
// links into one directory wait for each other.
const together = 16

// builder makes the next view in the stage.
type builder struct {
	*session
	ctx      context.Context
	src      backend.Source
	next     *plan
	old      *manifest.Manifest // of the view that is served
	number   int64
	sealed   int64 // Unix time of the generation's commit: what is younger is proved anew
	replaced []string
	todo     func([]job) error // has a file placed; it may fail with what another file failed of
	fetching singleflight.Group
}

type job struct {
	*file
	k int64 // where the old view has the directory, 0 if nowhere
}

func (b *builder) staged(p string) string { return b.stage(strconv.FormatInt(b.number, 10), p) }

// build makes the view; old is the number of the view that is served, 0 for
// none. Files are placed while further directories are made.
func (b *builder) build(old int64) error {
	g, ctx := errgroup.WithContext(b.ctx)
	jobs := make(chan []job, 64*pulls)
	for range pulls {
		g.Go(func() error {
			for batch := range jobs {
				for _, j := range batch {
					if err := ctx.Err(); err != nil {
						return err
					}
					if err := b.place(ctx, j); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	b.todo = func(batch []job) error {
		select {
		case jobs <- batch:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := b.dir(".", old, &b.next.root)
	close(jobs)
	if failed := g.Wait(); failed != nil {
		return failed // which has stopped the walk, if that failed too
	}
	return errors.Join(err, b.ctx.Err())
}

// dir builds directory p anew from its physical directory in view k, and
// returns how many names it has got.
func (b *builder) dir(p string, k int64, n *node) (names int, err error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if err := os.Mkdir(b.staged(p), 0o755); err != nil {
		return 0, fmt.Errorf("dir: build view: %w", err)
	}
	below := map[string]int64{} // physical places of the directories that are built anew
	if k > 0 {
		if names, err = b.keepAll(p, k, n, below); err != nil {
			return 0, err
		}
	}
	var batch []job
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		if f := n.files[name]; !f.gone {
			batch = append(batch, job{f, k})
			names++
		}
	}
	for part := range slices.Chunk(batch, together) {
		if err := b.todo(part); err != nil {
			return 0, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.dirs)) {
		if f := n.files[name]; f != nil && !f.gone {
			continue // a file takes the directory's name
		}
		got, err := b.dir(path.Join(p, name), below[name], n.dirs[name])
		if err != nil {
			return 0, err
		}
		names += min(got, 1)
	}
	if names == 0 && p != "." {
		return 0, os.Remove(b.staged(p))
	}
	return names, nil
}

// keepAll takes over what does not change in a directory.
func (b *builder) keepAll(p string, k int64, n *node, below map[string]int64) (kept int, err error) {
	b.replaced = append(b.replaced, line(k, p))
	entries, err := os.ReadDir(b.view(k, p))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, b.mayLack(p, err)
	}
	if err != nil {
		return 0, fmt.Errorf("dir: read view: %w", err)
	}
	keep, err := b.keeper(p, k)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, keep.close()) }()
	for _, e := range entries {
		if p == "." && e.Name() == own {
			b.replaced = append(b.replaced, line(k, own))
			continue
		}
		f, child := n.files[e.Name()], n.dirs[e.Name()]
		if f == nil && child == nil {
			kept++
			if err := keep.entry(e); err != nil {
				return 0, err
			}
			continue
		}
		name := path.Join(p, e.Name())
		at, err := b.physical(name, k, e)
		if err != nil {
			return 0, err
		}
		switch {
		case f != nil && !f.gone && at > 0: // a file takes the directory's name
			err = b.abandon(name, at)
		case child != nil && at > 0 && (f == nil || f.gone):
			below[e.Name()] = at
		}
		if err != nil {
			return 0, err
		}
	}
	return kept, nil
}

// mayLack accepts that directory p is gone if the manifest names nothing in it:
// a reaping that was cut off removes an empty directory before the link to it.
func (b *builder) mayLack(p string, cause error) error {
	for _, err := range b.old.Under(p + "/") {
		return errors.Join(&fault.Error{Kind: fault.Corrupt, Op: "dir: read view", Subject: p, Err: cause, Advice: "rebuild the region"}, err)
	}
	return nil
}

// abandon lists every physical directory below p that the next view no longer reaches.
func (b *builder) abandon(p string, k int64) error {
	return b.walk(p, k, func(p string, k int64) { b.replaced = append(b.replaced, line(k, p)) })
}

// own is the private directory of a view, with its generation.json.
const own = ".mirror"

// line names physical directory p of view k in replaced/<n>.
func line(k int64, p string) string { return strconv.FormatInt(k, 10) + "/" + p }

// linkTo is the target of the link at p, in any view, to directory p in view k.
// It leads through the private directory so that it also holds in the stage.
func (r *Region) linkTo(p string, k int64) string {
	return strings.Repeat("../", strings.Count(p, "/")+2) + views + "/" + line(k, p)
}

// physical returns the view in which directory p, an entry in view k, was
// built; 0 if it is a file.
func (r *Region) physical(p string, k int64, e fs.DirEntry) (int64, error) {
	switch {
	case e.Type().IsRegular():
		return 0, nil
	case e.IsDir():
		return k, nil
	case e.Type() == fs.ModeSymlink:
		target, err := os.Readlink(r.view(k, p))
		if err != nil {
			return 0, fmt.Errorf("dir: read view: %w", err)
		}
		number, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimLeft(target, "./"), views+"/"), "/")
		if at, err := strconv.ParseInt(number, 10, 64); err == nil && at > 0 && target == r.linkTo(p, at) {
			return at, nil
		}
	}
	return 0, &fault.Error{Kind: fault.Hostile, Op: "dir: read view", Subject: r.view(k, p),
		Err: fmt.Errorf("a %s that no release makes", e.Type()), Advice: "rebuild the region"}
}

// walk calls f for directory p of view k and every directory below it.
func (r *Region) walk(p string, k int64, f func(p string, k int64)) error {
	f(p, k)
	entries, err := os.ReadDir(r.view(k, p))
	if err != nil {
		return fmt.Errorf("dir: read view: %w", err)
	}
	for _, e := range entries {
		name := path.Join(p, e.Name())
		at, err := r.physical(name, k, e)
		if err == nil && at > 0 {
			err = r.walk(name, at, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// locate returns the view in which directory p of view k was built, 0 if there is no such directory.
func (r *Region) locate(p string, k int64, known map[string]int64) (int64, error) {
	if p == "." {
		return k, nil
	}
	if at, ok := known[p]; ok {
		return at, nil
	}
	up, err := r.locate(path.Dir(p), k, known)
	if err != nil || up == 0 {
		return 0, err
	}
	st, err := os.Lstat(filepath.Join(r.view(up, "."), p))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("dir: read view: %w", err)
	}
	at, err := r.physical(p, up, fs.FileInfoToDirEntry(st))
	if err == nil {
		known[p] = at
	}
	return at, err
}
