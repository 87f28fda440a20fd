package tree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Reaped counts what was deleted.
type Reaped struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// Drops lists the generations whose dropped objects are still kept, ascending.
func (t *Tree) Drops() ([]int64, error) {
	all, err := Numbered(t.statePath("drops"), "")
	if err != nil {
		return nil, fmt.Errorf("tree: list drops: %w", err)
	}
	slices.Sort(all)
	return all, nil
}

// DropsOf yields the objects, its own and foreign ones, that generation n dropped.
func (t *Tree) DropsOf(n int64) iter.Seq2[manifest.Entry, error] {
	return readEntries(t.statePath("drops", strconv.FormatInt(n, 10)))
}

// Retained returns the objects that are dropped but not yet reaped, by path.
// Where a path was dropped several times, the newest drop counts.
func (t *Tree) Retained() (map[string]manifest.Entry, error) {
	numbers, err := t.Drops()
	if err != nil {
		return nil, err
	}
	out := map[string]manifest.Entry{}
	for _, n := range numbers {
		for e, err := range t.DropsOf(n) {
			if err != nil {
				return nil, err
			}
			if e.Kind.IsFile() {
				out[e.Path] = e
			}
		}
	}
	return out, nil
}

func readEntries(name string) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(manifest.Entry{}, err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			e, err := manifest.ParseEntry(lines.Bytes())
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(manifest.Entry{}, err)
		}
	}
}

// Reap deletes the objects dropped by those generations that due allows,
// except what the newest generation, or one whose commit is under way, names
// again or a later one dropped anew.
func (t *Tree) Reap(ctx context.Context, due func(gen int64) bool) (Reaped, error) {
	var out Reaped
	numbers, err := t.Drops()
	if err != nil || !slices.ContainsFunc(numbers, due) {
		return out, err
	}
	now, err := t.current()
	if err != nil {
		return out, err
	}
	later := map[string]bool{} // paths dropped again by a generation that is not due
	for _, n := range slices.Backward(numbers) {
		if !due(n) {
			for e, err := range t.DropsOf(n) {
				if err != nil {
					return out, err
				}
				later[e.Path] = true
			}
			continue
		}
		if err := t.reapOne(ctx, n, now, later, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (t *Tree) reapOne(ctx context.Context, n int64, now []*manifest.Manifest, later map[string]bool, out *Reaped) error {
	for e, err := range t.DropsOf(n) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		again, err := named(now, e.Path)
		if err != nil {
			return err
		}
		if again || later[e.Path] || !e.Kind.IsFile() {
			continue
		}
		_, there, err := t.Stat(e.Path)
		if err != nil && fault.KindOf(err) != fault.Hostile {
			return err
		}
		if !there { // or something else has taken the name
			continue
		}
		if err := t.discard(e.Path); err != nil {
			return err
		}
		out.Objects++
		out.Bytes += e.Size
	}
	return t.dropState("drops", strconv.FormatInt(n, 10))
}

// Expire forgets the generations that keep does not want, except the newest
// and the newest sealed one, and removes contents that no generation names any
// more, nor one whose commit is under way.
func (t *Tree) Expire(ctx context.Context, keep func(*Generation) bool) (expired int, err error) {
	g, err := t.Committed()
	if err != nil || g == nil {
		return 0, err
	}
	sealed, err := t.Sealed()
	if err != nil {
		return 0, err
	}
	kept, err := t.underWay()
	if err != nil {
		return 0, err
	}
	all, err := t.Generations()
	if err != nil {
		return 0, err
	}
	var gone []int64
	for _, n := range all {
		old, err := t.Generation(n)
		if err != nil {
			return 0, err
		}
		if n >= g.Number || (sealed != nil && n == sealed.Number) || keep(old) {
			kept = append(kept, old)
		} else {
			gone = append(gone, n)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	// Contents go before the records: a run that is cut off finds the same records again.
	if err := t.sweep(ctx, kept); err != nil {
		return 0, err
	}
	for _, n := range gone {
		s := strconv.FormatInt(n, 10)
		if err := t.dropState("sealed", s); err != nil {
			return expired, err
		}
		if err := t.dropState("gen", s); err != nil {
			return expired, err
		}
		expired++
	}
	return expired, nil
}

// sweep removes segments and index contents that no kept generation names.
func (t *Tree) sweep(ctx context.Context, kept []*Generation) error {
	segments, indexes, err := t.mark(kept)
	if err != nil {
		return err
	}
	for kind, live := range map[string]map[manifest.Digest]bool{"segments": segments, "index": indexes} {
		files, err := filepath.Glob(t.statePath(kind, "??", "*"))
		if err != nil {
			return err
		}
		for _, name := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			d, err := manifest.ParseDigest(filepath.Base(name))
			if err != nil || live[d] {
				continue
			}
			if err := t.dropState(kind, filepath.Base(filepath.Dir(name)), filepath.Base(name)); err != nil {
				return err
			}
			_ = os.Remove(filepath.Dir(name)) // if it is empty
		}
	}
	return nil
}

func (t *Tree) mark(kept []*Generation) (segments, indexes map[manifest.Digest]bool, err error) {
	segments, indexes = map[manifest.Digest]bool{}, map[manifest.Digest]bool{}
	prev, err := t.Manifest(manifest.ID{})
	if err != nil {
		return nil, nil, err
	}
	for _, g := range kept {
		m, err := t.ManifestOf(g)
		if err != nil {
			return nil, nil, err
		}
		markSegments(segments, m)
		for name := range g.Aux {
			table, err := t.Table(g, name)
			if err != nil {
				return nil, nil, err
			}
			markSegments(segments, table)
		}
		for d, err := range manifest.Diff(prev, m) {
			if err != nil {
				return nil, nil, err
			}
			if d.New != nil {
				indexes[d.New.Digest] = true
			}
		}
		prev = m
	}
	return segments, indexes, nil
}

func markSegments(live map[manifest.Digest]bool, m *manifest.Manifest) {
	live[m.ID()] = true
	for _, d := range m.Segments() {
		live[d] = true
	}
}
