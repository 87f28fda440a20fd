package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Tend deletes what a tree no longer needs: objects that were dropped, and
// generations that were superseded, at least keep ago. Where clients read the
// tree itself, or copies that share its fate, due says whether what a
// generation dropped may go; nil means that no client does. Generations that
// clients prefer to the newest one count as the newest, too (see pinned).
func (t *Tree) Tend(ctx context.Context, now time.Time, keep time.Duration, due func(gen int64) bool) (Reaped, int, error) {
	superseded, err := t.superseded()
	if err != nil {
		return Reaped{}, 0, err
	}
	pinned, err := t.Pinned()
	if err != nil {
		return Reaped{}, 0, err
	}
	old := func(at time.Time, ok bool) bool { return ok && now.Sub(at) >= keep }
	expired, err := t.Expire(ctx, func(g *Generation) bool {
		at, ok := superseded[g.Number]
		return !old(at, ok) || slices.ContainsFunc(pinned, func(p *Generation) bool { return p.Number == g.Number })
	})
	if err != nil {
		return Reaped{}, expired, err
	}
	sealed, err := t.Sealed()
	if err != nil {
		return Reaped{}, expired, err
	}
	// What generation n dropped is named by older ones only, and those have
	// been superseded at the latest when n was committed. But releases take the
	// newest sealed one, however old: what was dropped after it, it still names.
	reaped, err := t.Reap(ctx, func(n int64) bool {
		if sealed != nil && n > sealed.Number || len(pinned) > 0 && n > pinned[0].Number || due != nil && !due(n) {
			return false
		}
		g, err := t.Generation(n)
		if errors.Is(err, fault.Gone) {
			return true // n itself has expired
		}
		return err == nil && old(g.Time, true)
	})
	return reaped, expired, err
}

// superseded says when each generation but the newest gave way to the next.
func (t *Tree) superseded() (map[int64]time.Time, error) {
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	out := map[int64]time.Time{}
	for i := 1; i < len(all); i++ {
		g, err := t.Generation(all[i])
		if err != nil {
			return nil, err
		}
		out[all[i-1]] = g.Time
	}
	return out, nil
}

const holdFile = "hold"

// Hold returns why the mirror is on hold, or "".
func (t *Tree) Hold() (string, error) {
	data, err := os.ReadFile(t.statePath(holdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(data)), err
}

// WriteHold puts a mirror on hold, or resumes it, without a lease: a person's
// word does not wait for a run to end. One that goes on does not commit any more.
func WriteHold(state, reason string) error {
	name := filepath.Join(state, holdFile)
	if reason == "" {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tree: resume: %w", err)
		}
		return nil
	}
	if err := durable.ReplaceBy(name+".new", name, []byte(reason+"\n")); err != nil {
		return fmt.Errorf("tree: hold: %w", err)
	}
	return nil
}

// Memo returns what an engine noted under name outside any generation, nil if nothing.
func (t *Tree) Memo(name string) ([]byte, error) {
	data, err := os.ReadFile(t.statePath("memo", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// SetMemo notes data under name. It may be lost without harm.
func (t *Tree) SetMemo(name string, data []byte) error { return t.writeState(data, "memo", name) }

// Rollback puts the mirror on hold and makes the content of generation to the
// next generation. It is refused, with a list of up to ten paths, if objects of it are gone.
func (t *Tree) Rollback(ctx context.Context, to, above int64) (*Generation, error) {
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	old, err := t.Generation(to)
	if err != nil {
		return nil, err
	}
	now, err := t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	then, err := t.ManifestOf(old)
	if err != nil {
		return nil, err
	}
	if err := t.present(ctx, manifest.Diff(now, then), to); err != nil {
		return nil, err
	}
	aux := map[string]manifest.ID{}
	for name, id := range old.Aux {
		if aux[name], err = manifest.ParseDigest(id); err != nil {
			return nil, err
		}
	}
	// Held before it is committed: cut off in between, the next cycle must not roll forward again.
	if err := WriteHold(t.cfg.State, fmt.Sprintf("rolled back to generation %d", to)); err != nil {
		return nil, err
	}
	return t.Commit(ctx, CommitRequest{Above: above, Manifest: then, Aux: aux, Engine: old.Engine, Upstream: old.Upstream,
		Plan: "rollback-" + strconv.FormatInt(to, 10)})
}

func (t *Tree) present(ctx context.Context, deltas func(func(manifest.Delta, error) bool), to int64) error {
	retained, err := t.Retained()
	if err != nil {
		return err
	}
	var missing []string
	n := 0
	for d, err := range deltas {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if d.New == nil || d.New.Kind != manifest.Object {
			continue
		}
		there, err := t.has(d, retained)
		if err != nil {
			return err
		}
		if !there {
			if n++; len(missing) < 10 {
				missing = append(missing, d.New.Path)
			}
		}
	}
	if n == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Gone, Op: "tree: roll back to generation", Subject: strconv.FormatInt(to, 10),
		Err:    fmt.Errorf("%d of its objects are gone: %s", n, strings.Join(missing, ", ")),
		Advice: "choose a newer generation; storage.rollback-keep says how long objects stay"}
}

// has reports whether the tree has the very object that d leads to. Upstream may
// have replaced it under its name, so it is hashed, unless it was retained as it is.
func (t *Tree) has(d manifest.Delta, retained map[string]manifest.Entry) (bool, error) {
	size, there, err := t.Stat(d.New.Path)
	if err != nil || !there || size != d.New.Size {
		return false, err
	}
	if kept, ok := retained[d.New.Path]; ok && d.Old == nil {
		return kept.Digest == d.New.Digest, nil
	}
	got, err := t.Hash(d.New.Path)
	return err == nil && got.Digest == d.New.Digest, err
}
