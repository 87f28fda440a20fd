package yum

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// prove checks the signatures of the packages that are new in repositories
// which these prove. What is not proved is lost to its repository where the spec
// tolerates that; else the repository is noted. Deltas are left to rpm, which
// proves the package that it makes of one.
func (e *Engine) prove(ctx context.Context, w *world, plans []*repoPlan) (lost map[string][]loss, notes []tree.Note, err error) {
	var keys *rpmrepo.Keyring
	lost = map[string][]loss{}
	for _, p := range plans {
		if p.State.Proof != ByPackages && p.State.Proof != ByBoth {
			continue
		}
		if keys == nil {
			if keys, _, err = e.keyring(); err != nil {
				return nil, nil, err
			}
		}
		count, some, err := w.unproved(ctx, p, keys)
		switch {
		case err != nil:
			return nil, nil, err
		case count == 0:
		case e.cfg.Tolerate:
			lost[p.Repo] = some
		default:
			n := tree.Note{Unit: p.Repo, Kind: some[0].kind}
			n.Error = fmt.Sprintf("%d packages are not proved, such as %s", count, some[0].text)
			notes = append(notes, n)
		}
	}
	return lost, notes, nil
}

// maxLosses is how many packages of a repository are named, more than are ever tolerated.
const maxLosses = 501

// unproved counts the packages of a repository without a good signature, and
// returns the first of them.
func (w *world) unproved(ctx context.Context, p *repoPlan, keys *rpmrepo.Keyring) (count int, some []loss, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	replaced := map[string]manifest.Digest{}
	for _, e := range p.Replaced {
		replaced[e.Path] = e.Digest
	}
	each := func(e manifest.Entry) error {
		if e.Kind != manifest.Object || !strings.HasSuffix(e.Path, ".rpm") {
			return ctx.Err()
		}
		g.Go(func() error {
			err := w.proveOne(e.Path, replaced[e.Path], keys)
			if err == nil || fault.KindOf(err) == "" {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if count++; len(some) < maxLosses {
				some = append(some, loss{e.Path, string(fault.KindOf(err)), err.Error(), true})
			}
			return nil
		})
		return ctx.Err()
	}
	stopped := w.newIn(p, each)
	if err := g.Wait(); err != nil {
		return 0, nil, err
	}
	slices.SortFunc(some, func(a, b loss) int { return strings.Compare(a.path, b.path) })
	return count, some, stopped
}

// newIn yields what a plan newly names; all of it where another proof held before.
func (w *world) newIn(p *repoPlan, each func(manifest.Entry) error) error {
	if p.All {
		for e, err := range w.final[p.Repo].All() {
			if err == nil {
				err = each(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, path := range w.paths {
		e, ok, err := w.final[p.Repo].Lookup(path)
		if err == nil && ok {
			err = each(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) proveOne(path string, replaced manifest.Digest, keys *rpmrepo.Keyring) error {
	var f *os.File
	var err error
	if replaced != (manifest.Digest{}) {
		f, err = w.t.OpenIndex(replaced)
	} else {
		f, err = w.t.OpenFile(path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = rpmrepo.Prove(path, io.ReadSeeker(f), keys)
	return err
}
