// Package dir publishes a mirror to a region that is a directory on a file system.
//
// The region shows each mirror through one symbolic link, and flips it by
// renaming a fresh link over it. A link leads to a view: an immutable directory
// tree, copied on write by directory. A directory without a change is a
// relative link to the place where it was last built, its physical directory;
// only directories on the path of a change are built anew, from hard links.
// So a view costs what its change costs, and old views stay readable.
//
// A wide directory has too many names to take each over into every view. It
// holds files and links only: directories that belong into it are built below/,
// so that it is one thing, which can be moved. When no readable view leads to
// it any more it becomes a spare, and the next view's is made out of that: two
// lists of names and inodes tell what differs, and only that is changed.
//
// The layout, all of it on one file system:
//
//	<dir>/<mirror>                    link to .mirrorcycle/<mirror>/views/<n>
//	<dir>/.releases/<mirror>/<n>      links to the views that are still readable
//	<dir>/.mirrorcycle/id             the region's identity, made by Setup only
//	<dir>/.mirrorcycle/<mirror>/
//	    views/<n>/                    what generation n built itself
//	    below/<n>/                    directories of generation n that belong into wide ones
//	    spare/<path>                  a wide directory that no readable view leads to
//	    gens/<n>                      what n is, since when it is served, until when it was
//	    drops/<n>                     objects that n no longer names, kept in the views
//	    waiting                       how many of them wait
//	    replaced/<n>                  physical directories that n replaced by its own
//	    segments/<xx>/<digest>        manifests of the readable generations
//	    log                           the site's ledger
//	    scrub                         which files were hashed, and found damaged
//	    fetched/<xx>/<digest>         objects pulled by an attempt that did not come to its end
//	    lease.<epoch>  stage-<epoch>/ who writes, and where
//
// Everything that is written is renamed out of stage-<epoch>, everything that
// goes is renamed into it. Whoever takes over removes the stages of older
// epochs first, so a run that wakes up late fails with fault.Fenced. One
// exception is the removal of a directory that is empty already: nothing is
// put into a directory of a published view but a file that it has lost, so that
// harms nobody. Another are the names in a directory that no readable view
// leads to any more. The last is a damaged file, which gets its bytes back where it lies.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// Options say which mirror is published where.
type Options struct {
	Dir    string // the region's directory
	Region string // its name in the spec
	Mirror string
	Tree   string // the tree's ID: a region that serves another one is refused
	// Referring are the mirrors whose indexes may name objects of this one.
	Referring []string
	Policy    backend.Policy
	// Wide is how many names a directory has at most that is taken over name by name; 1,000 if zero.
	Wide   int
	Holder string           // written into the lease: workflow, run, host
	Crash  func(string)     // called with the name of every write boundary; tests stop there
	Now    func() time.Time // the clock, time.Now if nil
}

// Region is one mirror in one directory region.
type Region struct{ Options }

var _ backend.Backend = (*Region)(nil)

// New returns the backend of a mirror in a region. It touches nothing yet.
func New(o Options) *Region {
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if o.Wide == 0 {
		o.Wide = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Region{o}
}

// Publish implements backend.Backend. The group is this one region, so what its
// outcome says is also returned as the error.
func (r *Region) Publish(ctx context.Context, src backend.Source) ([]backend.Outcome, error) {
	out := backend.Outcome{Region: r.Region}
	err := r.publish(ctx, src, &out)
	return report(out, err)
}

// Serving implements backend.Backend.
func (r *Region) Serving(context.Context) ([]backend.Outcome, error) {
	out := backend.Outcome{Region: r.Region}
	cur, err := r.current()
	if cur != nil {
		out.Serves = cur.Number
	}
	return report(out, err)
}

func report(out backend.Outcome, err error) ([]backend.Outcome, error) {
	if err != nil {
		out.Kind, out.Error = string(fault.KindOf(err)), err.Error()
	}
	return []backend.Outcome{out}, err
}

const (
	private  = ".mirrorcycle"
	releases = ".releases"
	views    = "views"
	below    = "below"
	spare    = "spare"
)

// path returns a name in the mirror's private directory.
func (r *Region) path(elem ...string) string {
	return filepath.Join(append([]string{r.Dir, private, r.Mirror}, elem...)...)
}

func (r *Region) link() string { return filepath.Join(r.Dir, r.Mirror) }

func (r *Region) snapshot(n int64) string {
	return filepath.Join(r.Dir, releases, r.Mirror, strconv.FormatInt(n, 10))
}

// view returns the name of p in what generation k built itself. A negative k
// stands for what generation -k built below its wide directories.
func (r *Region) view(k int64, p string) string { return r.path(physical(k), p) }

// physical is the private directory that k stands for.
func physical(k int64) string {
	if k < 0 {
		return below + "/" + strconv.FormatInt(-k, 10)
	}
	return views + "/" + strconv.FormatInt(k, 10)
}

func (r *Region) linkTarget(n int64) string {
	return private + "/" + r.Mirror + "/" + views + "/" + strconv.FormatInt(n, 10)
}

// current returns what the region serves, nil if it serves nothing yet. The
// error is fault.WrongStorage if the region or the tree is not the expected one.
func (r *Region) current() (*tree.Served, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	target, err := os.Readlink(r.link())
	if errors.Is(err, fs.ErrNotExist) || leadsAside(r.link()) {
		return nil, r.neverServed()
	}
	if err != nil {
		return nil, wrong(r.link(), "it is not the link that a region shows a mirror through", "move it away, or choose another directory for the region")
	}
	prefix := strings.TrimSuffix(r.linkTarget(0), "0")
	rest, ok := strings.CutPrefix(target, prefix)
	n, err := strconv.ParseInt(rest, 10, 64)
	if !ok || err != nil {
		return nil, wrong(r.link(), "it leads to "+target, "remove the link; the next release makes a new one")
	}
	s, err := tree.ReadServed(r.view(n, "."))
	switch {
	case err != nil:
		return nil, wrong(r.link(), err.Error(), "restore the region, or rebuild it")
	case s.Tree != r.Tree:
		return nil, wrong(r.link(), fmt.Sprintf("it serves tree %s, not %s", s.Tree, r.Tree), "rebuild the region, or mount the tree that belongs to it")
	case s.Number != n:
		return nil, wrong(r.link(), fmt.Sprintf("view %d says that it is generation %d", n, s.Number), "restore the region, or rebuild it")
	}
	return &s, nil
}

// neverServed refuses a region whose log knows more than its link: taken for
// an empty one, everything that clients may still ask for would be discarded.
func (r *Region) neverServed() error {
	log, err := r.log()
	if err != nil {
		return err
	}
	for _, rec := range log {
		if rec.Event == "serves" {
			return wrong(r.link(), fmt.Sprintf("the link is gone; generation %d was served through it", rec.Gen),
				"restore it with ln -s "+r.linkTarget(rec.Gen)+" or a newer view, or rebuild the region")
		}
	}
	return nil
}

// Served returns what was released to the directory region dir of a mirror. The
// error wraps fs.ErrNotExist if the region or the mirror is not there, and where
// clients are only led to what was moved aside: no release follows that.
func Served(dir, mirror string) (tree.Served, error) {
	link := filepath.Join(dir, mirror)
	if leadsAside(link) {
		return tree.Served{}, fmt.Errorf("dir: read %s: it leads to what was moved aside: %w", link, fs.ErrNotExist)
	}
	return tree.ReadServed(link)
}

// Aside returns the number of the generation that clients still get of what was
// moved aside, whatever tree it was of, and 0 if they get none of it.
func Aside(dir, mirror string) int64 {
	link := filepath.Join(dir, mirror)
	if !leadsAside(link) {
		return 0
	}
	s, err := tree.ReadServed(link)
	if err != nil {
		return 0
	}
	return s.Number
}

func wrong(subject, why, advice string) error {
	return &fault.Error{Kind: fault.WrongStorage, Op: "dir: open", Subject: subject, Err: errors.New(why), Advice: advice}
}
