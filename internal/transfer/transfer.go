// Package transfer brings one shard of a plan into the tree: what is there is proved, the rest downloaded.
//
// It knows no format but one detail of wheels: the METADATA that PEP 658 lays
// beside a wheel is taken out of the proved wheel itself, so it needs no digest
// of upstream's.
package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Options says where objects come from.
type Options struct {
	Client    *fetch.Client
	Upstreams []string // base URLs, in order of failover
	Workers   int      // objects at once
	// Seats, if set, is shared by several shards: each worker has one while it
	// works. Shards come in one after the other then, and a shard that syncs or
	// has but a few large objects left gives its seats to the next.
	Seats *semaphore.Weighted
	// Untold is the most bytes that the objects of a shard of which upstream does
	// not say the size may have together; 0 is 64 GB. What is above it is left to a
	// later cycle.
	Untold int64
	// Progress is called after each object with the totals so far.
	Progress func(objects, bytes int64)
}

// Run fetches a shard of p into t and records what became of each object. An
// object that cannot be had is a failed Result, not an error; errors are what
// stops the whole: a cancelled context, a full disk, a fenced run.
func Run(ctx context.Context, t *tree.Tree, p *tree.Plan, shard int, o Options) ([]tree.Result, error) {
	if p.IsDone(shard) {
		return collect(p, shard)
	}
	var items []tree.Item
	for it, err := range p.Items(shard) {
		if err != nil {
			return nil, fmt.Errorf("transfer: read shard %d: %w", shard, err)
		}
		items = append(items, it)
	}
	r := runner{t: t, o: o}
	r.untold.Store(cmp.Or(o.Untold, maxUntold))
	results := make([][]tree.Result, len(items))
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	// So many goroutines for the whole shard: a new one for each object would
	// grow its stack anew for each request.
	for range min(max(o.Workers, 1), len(items)) {
		g.Go(func() (err error) {
			if o.Seats != nil {
				if err := o.Seats.Acquire(ctx, 1); err != nil {
					return err
				}
				defer o.Seats.Release(1)
			}
			for i := next.Add(1) - 1; i < int64(len(items)) && err == nil; i = next.Add(1) - 1 {
				if err = ctx.Err(); err == nil {
					results[i], err = r.item(ctx, items[i])
				}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var all []tree.Result
	for _, rs := range results {
		all = append(all, rs...)
	}
	return all, p.Done(shard, all)
}

func collect(p *tree.Plan, shard int) ([]tree.Result, error) {
	var all []tree.Result
	for r, err := range p.Results(shard) {
		if err != nil {
			return nil, fmt.Errorf("transfer: read results of shard %d: %w", shard, err)
		}
		all = append(all, r)
	}
	return all, nil
}

type runner struct {
	t              *tree.Tree
	o              Options
	objects, bytes atomic.Int64
	untold         atomic.Int64 // bytes left of Options.Untold
}

// item has one object, or says why not.
func (r *runner) item(ctx context.Context, it tree.Item) ([]tree.Result, error) {
	res, err := r.have(ctx, it)
	if err == nil && it.Metadata {
		var more []tree.Result
		if more, err = r.metadata(it); err == nil {
			r.progress(res.Size)
			return append([]tree.Result{res}, more...), nil
		}
	}
	if err != nil && fatal(ctx, err) {
		return nil, err
	}
	r.progress(max(it.Size, res.Size))
	if err != nil {
		res = tree.Result{Path: it.Path, Unit: it.Unit, Kind: string(fault.KindOf(err)), Error: err.Error()}
	}
	return []tree.Result{res}, nil
}

func (r *runner) progress(size int64) {
	n, b := r.objects.Add(1), r.bytes.Add(max(size, 0))
	if r.o.Progress != nil {
		r.o.Progress(n, b)
	}
}

// fatal tells what stops everything from what only concerns one object. An
// error without a kind is one of our own disk.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || fault.KindOf(err) == "" ||
		errors.Is(err, fault.Fenced) || errors.Is(err, fault.NoSpace) || errors.Is(err, fault.WrongStorage)
}

func (r *runner) have(ctx context.Context, it tree.Item) (tree.Result, error) {
	if e, ok, err := r.present(it); ok || err != nil {
		return result(it, e, 0), err
	}
	if it.Kept {
		if res, ok, err := r.place(it); ok || err != nil {
			return res, err
		}
	}
	f, err := r.t.CreateFor(it.Path)
	if err != nil {
		return tree.Result{}, err
	}
	sink := budgeted{File: f}
	if it.Size < 0 || it.Loose {
		sink.left = &r.untold
	}
	got, err := r.o.Client.Get(ctx, r.request(it), &sink)
	if err != nil {
		sink.giveBack()
		_ = f.Discard() // what is wrong is said already; the next epoch clears the stage
		return tree.Result{}, err
	}
	if err := f.Land(it.Path); err != nil {
		return tree.Result{}, err
	}
	d, err := manifest.ParseDigest(got.SHA256)
	return result(it, manifest.Entry{Size: got.Size, Digest: d}, got.Size), err
}

// maxObject is the most bytes of an object of which upstream gives no size.
const maxObject = 4 << 30

func (r *runner) request(it tree.Item) fetch.Request {
	req := fetch.Request{Upstreams: r.o.Upstreams, Path: it.Path, Size: it.Size, Max: maxObject, SHA256: it.SHA256, SHA512: it.SHA512, Checksum: it.Checksum}
	if it.Source != "" {
		req.Path = it.Source
	}
	if len(it.Upstreams) > 0 {
		req.Upstreams = it.Upstreams
	}
	if it.Loose {
		req.Size, req.Max = 0, max(it.Size, maxObject)
	}
	if strings.Contains(req.Path, "://") {
		req.Upstreams = nil
	}
	return req
}

func result(it tree.Item, e manifest.Entry, downloaded int64) tree.Result {
	return tree.Result{Path: it.Path, Size: e.Size, SHA256: e.Digest.String(), Unit: it.Unit, Bytes: downloaded}
}

// place lands content that the plan keeps in state; ok is false if it is not
// there any more, or damaged, and upstream may still have it.
func (r *runner) place(it tree.Item) (res tree.Result, ok bool, err error) {
	d, err := manifest.ParseDigest(it.SHA256)
	if err != nil {
		return res, false, err
	}
	if ok, err = r.whole(d); ok {
		return result(it, manifest.Entry{Size: it.Size, Digest: d}, 0), true, r.t.LandIndex(d, it.Path)
	}
	if err == nil && it.Source == "" && len(r.o.Upstreams) == 0 {
		err = &fault.Error{Kind: fault.Corrupt, Op: "transfer: place", Subject: it.Path, Err: errors.New("what the state keeps of it is missing or damaged"),
			Advice: "restore the state from a backup"}
	}
	return res, false, err
}

// whole proves content that the state keeps.
func (r *runner) whole(d manifest.Digest) (bool, error) {
	f, err := r.t.OpenIndex(d)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	if tree.Unreadable(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("transfer: read kept content %s: %w", d, err)
	}
	return manifest.Digest(h.Sum(nil)) == d, nil
}

// present proves a file that an earlier attempt left at the item's path.
func (r *runner) present(it tree.Item) (manifest.Entry, bool, error) {
	size, there, err := r.t.Stat(it.Path)
	if err != nil || !there || (it.Size >= 0 && size != it.Size && !it.Loose) {
		return manifest.Entry{}, false, err
	}
	f, err := r.t.OpenFile(it.Path)
	if err != nil {
		return manifest.Entry{}, false, fmt.Errorf("transfer: open %s: %w", it.Path, err)
	}
	defer f.Close()
	h256 := sha256.New()
	var h512, other hash.Hash
	var sum io.Writer = h256
	if it.SHA512 != "" {
		h512 = sha512.New()
		sum = io.MultiWriter(h256, h512)
	}
	if it.Checksum != "" {
		if other = fetch.NewChecksum(it.Checksum); other == nil {
			return manifest.Entry{}, false, nil
		}
		sum = io.MultiWriter(sum, other)
	}
	n, err := io.Copy(sum, f)
	if tree.Unreadable(err) {
		return manifest.Entry{}, false, nil
	}
	if err != nil {
		return manifest.Entry{}, false, fmt.Errorf("transfer: read %s: %w", it.Path, err)
	}
	proved := matches(h256, it.SHA256) && (h512 == nil || matches(h512, it.SHA512)) && it.SHA256+it.SHA512+it.Checksum != ""
	if _, digits, _ := strings.Cut(it.Checksum, ":"); other != nil {
		proved = proved && matches(other, digits)
	}
	return manifest.Entry{Path: it.Path, Size: n, Digest: manifest.Digest(h256.Sum(nil))}, proved, nil
}

func matches(h hash.Hash, want string) bool {
	return want == "" || strings.EqualFold(hex.EncodeToString(h.Sum(nil)), want)
}
