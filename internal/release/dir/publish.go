package dir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/tree"
)

func (r *Region) publish(ctx context.Context, src backend.Source, out *backend.Outcome) error {
	g, err := src.Sealed(ctx)
	if err != nil {
		return err
	}
	cur, err := r.current()
	if cur != nil {
		out.Serves = cur.Number
	}
	if err != nil || g == nil {
		return err
	}
	if done, err := r.settled(cur, g); done || err != nil {
		return err
	}
	return r.write(func(s *session) error {
		// Before we had the lease somebody else may have been at work.
		cur, err := s.current()
		if err != nil {
			return err
		}
		if done, err := s.settled(cur, g); done || err != nil {
			return err
		}
		if err := s.release(ctx, src, cur, g.Served); err != nil {
			return err
		}
		out.Serves, out.Changed = g.Number, true
		return nil
	})
}

// settled reports whether the region serves g already, and refuses what may not follow cur.
func (r *Region) settled(cur *tree.Served, g *tree.Generation) (bool, error) {
	switch {
	case g.Tree != r.Tree || g.Mirror != r.Mirror:
		return false, wrong(r.Dir, fmt.Sprintf("the source is tree %s of mirror %s, not %s of %s", g.Tree, g.Mirror, r.Tree, r.Mirror),
			"check which disks are mounted where, and where storage.url leads")
	case cur == nil || cur.Number < g.Number:
		return false, nil
	case cur.Number > g.Number:
		return false, &fault.Error{Kind: fault.Stale, Op: "dir: publish", Subject: r.link(),
			Err:    fmt.Errorf("the region serves generation %d, the tree offers %d", cur.Number, g.Number),
			Advice: "restore the newer tree; to go back on purpose, use starter rollback"}
	case cur.Manifest != g.Manifest:
		return false, wrong(r.link(), fmt.Sprintf("generation %d has manifest %s in the region and %s in the tree", g.Number, cur.Manifest, g.Manifest),
			"two copies of the tree went on separately: keep one, and rebuild the region")
	}
	return true, nil
}

// release builds the view of g and flips to it. Everything but the flip may be
// lost: what was done before it is discarded by the next attempt.
func (s *session) release(ctx context.Context, src backend.Source, cur *tree.Served, g tree.Served) error {
	old, err := s.manifestOf(cur)
	if err != nil {
		return err
	}
	id, err := g.ManifestID()
	if err != nil {
		return err
	}
	next, err := s.adopt(src, id, old)
	if err != nil {
		return err
	}
	p, err := s.draw(cur, next)
	if err != nil {
		return err
	}
	b := &builder{session: s, ctx: ctx, src: src, next: p, old: old, number: g.Number, sealed: g.Time.Unix()}
	var from int64
	if cur != nil {
		from = cur.Number
	}
	s.Crash("build")
	if err := b.build(from); err != nil {
		return err
	}
	if err := b.writeServed(g); err != nil {
		return err
	}
	s.Crash("built")
	if err := s.putRecords(g, p, b.replaced); err != nil {
		return err
	}
	// After the records: from now on the other mirrors keep what is found here.
	s.Crash("recorded")
	if err := s.others(p); err != nil {
		return err
	}
	if err := s.disks.Sync(); err != nil {
		return err
	}
	if err := s.flip(g.Number); err != nil {
		return err
	}
	return s.countFlip(cur, g, p)
}

func (b *builder) writeServed(g tree.Served) error {
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := os.Mkdir(b.staged(own, b.number), 0o755); err != nil {
		return fmt.Errorf("dir: build view: %w", err)
	}
	if err := os.WriteFile(b.staged(tree.ServedPath, b.number), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("dir: build view: %w", err)
	}
	return nil
}

// putRecords writes down what the flip will change, before it.
func (s *session) putRecords(g tree.Served, p *plan, replaced []string) error {
	n := strconv.FormatInt(g.Number, 10)
	if len(p.drops) > 0 {
		if err := s.put(s.path("drops", n), p.dropLines()); err != nil {
			return err
		}
	}
	if len(replaced) > 0 {
		if err := s.put(s.path("replaced", n), []byte(strings.Join(replaced, "\n")+"\n")); err != nil {
			return err
		}
	}
	return s.putRecord(record{Served: g, Published: s.Now().UTC()})
}

// flip makes the staged view of n the one that clients see.
func (s *session) flip(n int64) error {
	number := strconv.FormatInt(n, 10)
	if err := s.note(ledger.Intent, n); err != nil {
		return err
	}
	if exists(s.stage(below)) {
		if err := s.move(s.stage(below), s.path(below, number)); err != nil {
			return err
		}
	}
	if err := s.move(s.stage(number), s.path(views, number)); err != nil {
		return err
	}
	if err := s.offer(n); err != nil {
		return err
	}
	if err := s.point(s.linkTarget(n), s.link()); err != nil {
		return err
	}
	// All that was fetched is in the view now.
	entries, err := os.ReadDir(s.path("fetched"))
	for _, e := range entries {
		err = errors.Join(err, s.discard(s.path("fetched", e.Name())))
	}
	return err
}

// offer makes view n readable as a snapshot.
func (s *session) offer(n int64) error {
	name := s.snapshot(n)
	for _, dir := range []string{filepath.Dir(filepath.Dir(name)), filepath.Dir(name)} {
		if err := mkdir(dir); err != nil {
			return fmt.Errorf("dir: offer snapshot: %w", err)
		}
	}
	return s.point("../../"+s.linkTarget(n), name)
}

// point makes name a link to target, replacing what link was there.
func (s *session) point(target, name string) error {
	temp := s.temp()
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("dir: link %s: %w", name, err)
	}
	return s.move(temp, name)
}
