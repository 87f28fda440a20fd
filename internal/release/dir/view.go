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
	k  int64  // where the old view has the directory, 0 if nowhere
	to string // its name in the stage
}

// staged returns the name of p in the stage; place is the number of the view,
// negative for what lies below a wide directory.
func (b *builder) staged(p string, place int64) string {
	if place < 0 {
		return b.stage(below, p)
	}
	return b.stage(strconv.FormatInt(place, 10), p)
}

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
	_, err := b.dir(".", old, b.number, &b.next.root)
	close(jobs)
	if failed := g.Wait(); failed != nil {
		return failed // which has stopped the walk, if that failed too
	}
	return errors.Join(err, b.ctx.Err())
}

// dir builds directory p anew in place from its physical directory in view k,
// and returns how many names it has got.
func (b *builder) dir(p string, k, place int64, n *node) (names int, err error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	was := map[string]int64{} // physical places of the directories that are built anew
	if names, err = b.begin(p, k, place, n, was); err != nil {
		return 0, err
	}
	var batch []job
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		if f := n.files[name]; !f.gone {
			batch = append(batch, job{f, k, b.staged(f.Path, place)})
			names++
		}
	}
	for part := range slices.Chunk(batch, together) {
		if err := b.todo(part); err != nil {
			return 0, err
		}
	}
	more, err := b.dirs(p, place, n, was, names+len(n.dirs) > b.Wide)
	if names += more; err != nil || names > 0 || p == "." {
		return names, err
	}
	return 0, os.Remove(b.staged(p, place))
}

// dirs builds the directories in p anew that change, and returns how many of them there are.
func (b *builder) dirs(p string, place int64, n *node, was map[string]int64, wide bool) (names int, err error) {
	inside := place
	if wide = wide && place > 0 && p != "." && len(n.dirs) > 0; wide {
		inside = -place
		if err := os.MkdirAll(b.staged(p, inside), 0o755); err != nil {
			return 0, fmt.Errorf("dir: build view: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.dirs)) {
		if f := n.files[name]; f != nil && !f.gone {
			continue // a file takes the directory's name
		}
		child := path.Join(p, name)
		got, err := b.dir(child, was[name], inside, n.dirs[name])
		if err == nil && wide && got > 0 {
			err = os.Symlink(b.linkTo(child, inside), b.staged(child, place))
		}
		if err != nil {
			return 0, err
		}
		names += min(got, 1)
	}
	for ; wide && os.Remove(b.staged(p, inside)) == nil; p = path.Dir(p) {
		// Nothing is left of what lay below it.
	}
	return names, nil
}

// begin makes directory p in the stage, with what does not change in it.
func (b *builder) begin(p string, k, place int64, n *node, was map[string]int64) (kept int, err error) {
	to := b.staged(p, place)
	if k == 0 {
		return 0, b.mkdir(to)
	}
	b.replaced = append(b.replaced, line(k, p))
	if _, err := os.Lstat(b.view(k, p)); errors.Is(err, fs.ErrNotExist) {
		return 0, errors.Join(b.mayLack(p, err), b.mkdir(to))
	}
	c := &change{b: b, p: p, k: k, n: n, was: was}
	if done, err := c.fromSpare(to); done || err != nil {
		return c.kept, err
	}
	if err := b.mkdir(to); err != nil {
		return 0, err
	}
	return c.kept, c.keepAll(to)
}

func (b *builder) mkdir(name string) error {
	if err := os.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("dir: build view: %w", err)
	}
	return nil
}

// change is what becomes of one directory of the view that is served.
type change struct {
	b    *builder
	p    string
	k    int64 // the view that has it
	n    *node
	was  map[string]int64 // takes the places of the directories in it that are built anew
	kept int              // how many names it keeps
}

// changes tells whether a name does not stay as it is.
func (c *change) changes(name string) bool {
	return c.n.files[name] != nil || c.n.dirs[name] != nil || c.p == "." && name == own
}

// keepAll takes over what does not change, name by name.
func (c *change) keepAll(to string) (err error) {
	entries, err := os.ReadDir(c.b.view(c.k, c.p))
	if err != nil {
		return fmt.Errorf("dir: read view: %w", err)
	}
	keep, err := c.keeper(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keep.close()) }()
	for _, e := range entries {
		if c.changes(e.Name()) {
			err = c.replace(e)
		} else {
			c.kept++
			err = keep.entry(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replace notes where an entry that changes is now.
func (c *change) replace(e fs.DirEntry) error {
	if c.p == "." && e.Name() == own {
		c.b.replaced = append(c.b.replaced, line(c.k, own))
		return nil
	}
	f, child := c.n.files[e.Name()], c.n.dirs[e.Name()]
	name := path.Join(c.p, e.Name())
	at, err := c.b.physical(name, c.k, e)
	switch {
	case err != nil || at == 0:
		return err
	case f != nil && !f.gone: // a file takes the directory's name
		return c.b.abandon(name, at)
	case child != nil:
		c.was[e.Name()] = at
	}
	return nil
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
	return strings.Repeat("../", strings.Count(p, "/")+2) + physical(k) + "/" + p
}

// physical returns the place in which directory p, an entry in view k, was
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
		kind, rest, _ := strings.Cut(strings.TrimLeft(target, "./"), "/")
		number, _, _ := strings.Cut(rest, "/")
		at, err := strconv.ParseInt(number, 10, 64)
		if kind == below {
			at = -at
		}
		if err == nil && at != 0 && target == r.linkTo(p, at) {
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
		if err == nil && at != 0 {
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
