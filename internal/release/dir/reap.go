package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Reap implements backend.Backend. It never flips.
func (r *Region) Reap(ctx context.Context) (backend.Reaped, error) {
	var out backend.Reaped
	v, err := r.survey()
	if err != nil || v == nil {
		return out, err
	}
	if v.idle() && v.tell(&out) {
		return out, nil
	}
	err = r.write(func(s *session) error { return s.tidy(ctx, &out) })
	return out, err
}

func (s *session) tidy(ctx context.Context, out *backend.Reaped) error {
	v, err := s.survey()
	if err != nil || v == nil {
		return err
	}
	for _, rec := range v.left {
		rec.Superseded = s.Now().UTC()
		if err := s.putRecord(rec); err != nil {
			return err
		}
	}
	if len(v.left) > 0 {
		if v, err = s.survey(); err != nil {
			return err
		}
	}
	if err := s.expire(ctx, v, out); err != nil {
		return err
	}
	w, known := s.counted(v.cur.Number, v.drops)
	if err := s.reap(ctx, v, out, &w); err != nil {
		return err
	}
	if v, err = s.survey(); err != nil || known && v.tell(out) && len(v.drops) > 0 {
		return err
	}
	if !known {
		if w, err = v.count(); err != nil {
			return err
		}
	}
	if err := s.keepCount(v, w); err != nil {
		return err
	}
	v.tell(out)
	return nil
}

// survey is what there is to tidy up in a region at one moment.
type survey struct {
	*Region
	cur      tree.Served
	kept     []int64  // readable generations, with the one that is served
	expired  []int64  // no longer readable
	left     []record // superseded, which nobody has written down yet
	replaced []int64  // replaced/<n> that no readable view needs
	drops    []int64
	due      map[int64]bool
}

func (v *survey) idle() bool {
	return len(v.expired) == 0 && len(v.left) == 0 && len(v.replaced) == 0 && len(v.due) == 0
}

// survey returns nil if the region serves nothing.
func (r *Region) survey() (*survey, error) {
	cur, err := r.current()
	if err != nil || cur == nil {
		return nil, err
	}
	v := &survey{Region: r, cur: *cur}
	all, err := r.records(cur.Number)
	if err != nil {
		return nil, err
	}
	snapshots := v.sort(all)
	replaced, err := r.list("replaced", cur.Number)
	if err != nil {
		return nil, err
	}
	for _, n := range replaced {
		if len(v.kept) > 0 && n <= v.kept[0] {
			v.replaced = append(v.replaced, n)
		}
	}
	return v, v.findDue(snapshots)
}

// sort tells readable generations from expired ones and returns the former as the ledger wants them.
func (v *survey) sort(all []record) []ledger.Generation {
	now, pinned := v.Now(), pins(all)
	var out []ledger.Generation
	for _, rec := range all {
		g := ledger.Generation{Number: rec.Number, Superseded: rec.Superseded}
		if rec.Number == v.cur.Number || slices.ContainsFunc(pinned, func(p record) bool { return p.Number == rec.Number }) {
			g = ledger.Generation{Number: rec.Number} // counts as still served
		} else if rec.Superseded.IsZero() {
			v.left = append(v.left, rec)
		}
		if !g.Readable(now, v.Policy.Keep) {
			v.expired = append(v.expired, rec.Number)
			continue
		}
		v.kept = append(v.kept, rec.Number)
		out = append(out, g)
	}
	return out
}

func (v *survey) findDue(snapshots []ledger.Generation) (err error) {
	v.due = map[int64]bool{}
	if v.drops, err = v.list("drops", v.cur.Number); err != nil || len(v.drops) == 0 {
		return err
	}
	log, err := v.log()
	if err != nil {
		return err
	}
	store := ledger.Store{Sites: map[string][]ledger.Record{v.Options.Region: log}, Snapshots: snapshots}
	policy := ledger.Policy{Wait: v.Policy.Grace, Keep: v.Policy.Keep, Every: v.Policy.Every}
	for _, n := range v.drops {
		if ok, _ := store.Due(n, v.Now(), policy); ok {
			v.due[n] = true
		}
	}
	return v.keepReferred()
}

// condemned yields the objects of the drops that want selects which neither
// the generation that is served names nor a later drop lists.
func (v *survey) condemned(want func(n int64) bool, f func(n int64, e manifest.Entry) error) error {
	now, err := v.manifestOf(&v.cur)
	if err != nil {
		return err
	}
	return v.latest(func(n int64, e manifest.Entry) error {
		if !want(n) {
			return nil
		}
		if _, named, err := now.Lookup(e.Path); err != nil || named {
			return err
		}
		return f(n, e)
	})
}

// latest yields all drops, of each path the latest.
func (v *survey) latest(f func(n int64, e manifest.Entry) error) error {
	later := map[string]bool{}
	for _, n := range slices.Backward(v.drops) {
		for e, err := range v.dropped(n) {
			if err != nil {
				return err
			}
			if later[e.Path] {
				continue
			}
			later[e.Path] = true
			if err := f(n, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// reap deletes what is due from the view that is served, in place, and takes it off what waits.
func (s *session) reap(ctx context.Context, v *survey, out *backend.Reaped, w *waiting) error {
	if len(v.due) == 0 {
		return nil
	}
	known := map[string]int64{}
	err := v.condemned(func(n int64) bool { return v.due[n] }, func(_ int64, e manifest.Entry) error {
		if err := ctx.Err(); err != nil || !e.Kind.IsFile() {
			return err
		}
		w.add(e, -1)
		gone, err := s.unlink(e.Path, v.cur.Number, known)
		if gone {
			out.Objects++
			out.Bytes += e.Size
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range v.drops {
		if v.due[n] {
			if err := s.discard(s.path("drops", strconv.FormatInt(n, 10))); err != nil {
				return err
			}
		}
	}
	return nil
}

// unlink removes the object p from view k, and the directories that become empty.
func (s *session) unlink(p string, k int64, known map[string]int64) (gone bool, err error) {
	at, err := s.locate(path.Dir(p), k, known)
	if err != nil {
		return false, err
	}
	if at != 0 {
		name := s.view(at, p)
		st, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return false, fmt.Errorf("dir: reap: %w", err)
		case !st.Mode().IsRegular(): // a directory has taken the name
			return false, nil
		default:
			if err := s.discard(name); err != nil {
				return false, err
			}
			gone = true
		}
	}
	return gone, s.prune(path.Dir(p), k, known)
}

// prune removes directory p of view k if it is empty, with the link that leads
// to it, and so on upwards. It goes on where one that was cut off stopped.
func (s *session) prune(p string, k int64, known map[string]int64) error {
	for ; p != "."; p = path.Dir(p) {
		at, err := s.locate(p, k, known)
		if err != nil {
			return err
		}
		if at == 0 {
			continue // gone already
		}
		if s.removeEmpty(at, p); exists(s.view(at, p)) {
			return nil
		}
		delete(known, p)
		up, err := s.locate(path.Dir(p), k, known)
		if err != nil {
			return err
		}
		if at != up {
			if err := s.discard(s.view(up, p)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeEmpty removes physical directory p of view k if it is empty, and so on
// upwards. One that is missing was removed by a run that was cut off.
func (s *session) removeEmpty(k int64, p string) {
	for {
		s.Crash("remove")
		if os.Remove(s.view(k, p)) != nil && exists(s.view(k, p)) || p == "." {
			return
		}
		p = path.Dir(p)
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// sweep removes the segments that no readable generation needs.
func (s *session) sweep(kept []int64) error {
	live := map[string]bool{}
	for _, n := range kept {
		rec, err := s.record(n)
		if err != nil {
			return err
		}
		m, err := s.manifestOf(&rec.Served)
		if err != nil {
			return err
		}
		live[m.ID().String()] = true
		for _, d := range m.Segments() {
			live[d.String()] = true
		}
	}
	files, err := filepath.Glob(s.path("segments", "??", "*"))
	for _, name := range files {
		if live[filepath.Base(name)] {
			continue
		}
		if failed := s.discard(name); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		_ = os.Remove(filepath.Dir(name)) // if it is empty
	}
	return err
}
