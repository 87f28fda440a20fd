// Package enginetest runs an engine through a whole cycle on a real tree, for the tests of engines.
package enginetest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
)

// Engine is what every engine offers.
type Engine interface {
	Plan(ctx context.Context, t *tree.Tree) (string, tree.PlanInfo, error)
	Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error)
}

// Bench is a tree with what a cycle over it needs.
type Bench struct {
	tb      testing.TB
	Dir     string // holds tree/ and state/
	Client  *fetch.Client
	Verify  verify.Options
	Sources []string
	// Spoil changes what is committed, after which nothing is verified and sealed.
	Spoil func(t *tree.Tree, req *tree.CommitRequest)
}

// New makes an empty tree for a mirror of that name.
func New(tb testing.TB, mirror string) *Bench {
	tb.Helper()
	b := &Bench{tb: tb, Dir: tb.TempDir()}
	if _, err := tree.Setup(b.config(), mirror); err != nil {
		tb.Fatal(err)
	}
	client, err := fetch.New(fetch.Options{Attempts: 2, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	b.Client = client
	return b
}

func (b *Bench) config() tree.Config {
	return tree.Config{Dir: filepath.Join(b.Dir, "tree"), State: filepath.Join(b.Dir, "state"), Holder: "enginetest"}
}

// Result is what a cycle came to.
type Result struct {
	Digest string // of the plan, empty if nothing changed
	Info   tree.PlanInfo
	Notes  []tree.Note // of the plan and of the settling
	Number int64       // of the new generation, 0 if none
	Err    error       // of the plan or the settling
}

// Cycle plans, fetches, settles, commits and verifies. It fails the test where
// something goes wrong that no upstream may cause.
func (b *Bench) Cycle(e Engine) Result {
	b.tb.Helper()
	ctx := context.Background()
	t, err := tree.Open(b.config())
	if err != nil {
		b.tb.Fatal(err)
	}
	defer t.Close()
	var r Result
	r.Digest, r.Info, r.Err = e.Plan(ctx, t)
	r.Notes = slices.Clone(r.Info.Deferred)
	if r.Err != nil || r.Digest == "" {
		return r
	}
	p, err := t.OpenPlan(r.Digest)
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := p.Redo(); err != nil {
		b.tb.Fatal(err)
	}
	for shard := range p.Info.Shards {
		if _, err := transfer.Run(ctx, t, p, shard, transfer.Options{Client: b.Client, Upstreams: b.Sources, Workers: 4}); err != nil {
			b.tb.Fatal(err)
		}
	}
	req, notes, err := e.Settle(ctx, t, p)
	r.Notes = append(r.Notes, notes...)
	if err != nil || req.Manifest == nil {
		r.Err = err
		return r
	}
	if b.Spoil != nil {
		b.Spoil(t, &req)
	}
	g, err := t.Commit(ctx, req)
	if err == nil {
		err = t.PurgePlans(ctx) // what was fetched for units that stay as they are
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	if b.Spoil == nil {
		b.verify(t, g)
	}
	r.Number = g.Number
	return r
}

// Commit makes what the function asks for the next generation, and verifies it.
func (b *Bench) Commit(ask func(t *tree.Tree) (tree.CommitRequest, error)) {
	b.tb.Helper()
	t, err := tree.Open(b.config())
	if err != nil {
		b.tb.Fatal(err)
	}
	defer t.Close()
	req, err := ask(t)
	if err != nil {
		b.tb.Fatal(err)
	}
	g, err := t.Commit(context.Background(), req)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.verify(t, g)
}

func (b *Bench) verify(t *tree.Tree, g *tree.Generation) {
	b.tb.Helper()
	report, err := verify.Tree(context.Background(), t, g, verify.Options{Kind: b.Verify.Kind, Keyring: b.Verify.Keyring, Proof: b.Verify.Proof, Foreign: b.Verify.Foreign, Now: b.Verify.Now, Full: true, Deep: true})
	if err != nil {
		b.tb.Fatal(err)
	}
	if !report.OK() {
		b.tb.Fatalf("generation %d does not verify:\n%s", g.Number, strings.Join(report.Problems, "\n"))
	}
	if err := t.Seal(g.Number); err != nil {
		b.tb.Fatal(err)
	}
}

// Files lists what the tree holds, without its private directory.
func (b *Bench) Files() []string {
	b.tb.Helper()
	var out []string
	root := filepath.Join(b.Dir, "tree")
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, ".mirror") {
			return err
		}
		out = append(out, rel)
		return nil
	})
	if err != nil {
		b.tb.Fatal(err)
	}
	return out
}

// Read returns a file of the tree.
func (b *Bench) Read(path string) string {
	b.tb.Helper()
	data, err := os.ReadFile(filepath.Join(b.Dir, "tree", path))
	if err != nil {
		b.tb.Fatal(err)
	}
	return string(data)
}

// Tree opens the tree for reading.
func (b *Bench) Tree() *tree.Tree {
	b.tb.Helper()
	t, err := tree.Read(b.config())
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { t.Close() })
	return t
}

// Rollback commits generation to anew, as starter rollback and starter resume do.
func (b *Bench) Rollback(to int64) error {
	t, err := tree.Open(b.config())
	if err != nil {
		return err
	}
	defer t.Close()
	g, err := t.Rollback(b.tb.Context(), to, 0)
	if err == nil {
		b.verify(t, g)
	}
	return err
}
