package dir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/turns"
)

// hashTime is after what time one scrub leaves the rest of a long pause to the
// next, and mendTime how long it mends: what is left is damaged the next time,
// too. maxDamaged is how many damaged files one scrub reports.
const (
	hashTime   = 30 * time.Minute
	mendTime   = 10 * time.Minute
	maxDamaged = 100
)

var _ backend.Scrubber = (*Region)(nil)

// Scrub implements backend.Scrubber. Files that are hard links of the tree's are
// skipped: who tends the tree hashes them, and mends them where they lie.
func (r *Region) Scrub(ctx context.Context, src backend.Source) (backend.Scrubbed, error) {
	k := &scrub{Region: r, ctx: ctx, src: src, known: map[string]int64{}}
	cur, err := r.current()
	if err != nil || cur == nil {
		return k.out, err
	}
	data, err := os.ReadFile(r.path("scrub"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k.out, fmt.Errorf("dir: read the last scrub: %w", err)
	}
	k.cur = *cur
	last := turns.Read(data)
	// Without the lease, which would stop nobody: this only reads.
	next, err := last.Scrub(turns.Options{Now: r.Now(), Most: maxDamaged, Look: k.look, Enough: turns.Within(hashTime),
		Open: func() (*manifest.Manifest, error) { return r.manifestOf(cur) }})
	if err != nil || len(k.damaged) == 0 && next.Equal(last) {
		return k.out, err
	}
	err = r.write(func(s *session) error { return k.end(s, next) })
	return k.out, err
}

// scrub is one look at the view that is served.
type scrub struct {
	*Region
	ctx     context.Context
	src     backend.Source
	cur     tree.Served
	known   map[string]int64 // see locate
	damaged []manifest.Entry
	out     backend.Scrubbed
}

func (k *scrub) look(e manifest.Entry) (whole bool, err error) {
	// What cannot be found or read is as good as lost.
	at, err := k.locate(path.Dir(e.Path), k.cur.Number, k.known)
	if err == nil {
		name := k.view(at, e.Path)
		if st, err := os.Lstat(name); err == nil && k.ofTree(st, e.Path) {
			return true, nil
		}
		whole, err = holds(name, e)
	}
	if whole && err == nil {
		k.out.Hashed += e.Size
	} else if len(k.damaged) < maxDamaged {
		k.damaged = append(k.damaged, e)
	}
	return whole && err == nil, k.ctx.Err()
}

func (k *scrub) ofTree(st fs.FileInfo, p string) bool {
	local := k.src.Path(p)
	if local == "" {
		return false
	}
	its, err := os.Lstat(local)
	return err == nil && os.SameFile(st, its)
}

// end mends what is damaged, and then notes what is to be looked at again: a
// run that is cut off before leaves its turn to the next one.
func (k *scrub) end(s *session, next turns.Memo) error {
	cur, err := s.current()
	if err != nil || cur == nil || cur.Number != k.cur.Number {
		return err // released to meanwhile: what was seen is of the view before
	}
	limited, cancel := context.WithTimeout(k.ctx, mendTime)
	defer cancel()
	for _, e := range k.damaged {
		if err := s.mend(limited, k, e); err != nil {
			if k.ctx.Err() != nil {
				return err
			}
			k.out.Problems = append(k.out.Problems, fmt.Sprintf("%s: damaged or missing: %v", e.Path, err))
			continue
		}
		k.out.Mended = append(k.out.Mended, e.Path)
		next.Damaged = slices.DeleteFunc(next.Damaged, func(p string) bool { return p == e.Path })
	}
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return s.put(s.path("scrub"), append(data, '\n'))
}

// mend brings a file back from the source. A damaged one is written over where
// it lies: views that share it by hard links are whole again with it. Readers
// meet wrong bytes for a moment longer, as they did before; a crash leaves the
// file damaged. A missing one is renamed into place.
func (s *session) mend(ctx context.Context, k *scrub, e manifest.Entry) error {
	at, err := s.locate(path.Dir(e.Path), k.cur.Number, k.known)
	if err == nil && at == 0 {
		err = errors.New("its directory is gone, too: rebuild the region")
	}
	if err != nil {
		return err
	}
	temp, err := s.fetched(e, func() (io.ReadCloser, error) {
		if e.Kind.IsIndex() {
			return k.src.Index(ctx, e.Digest)
		}
		return k.src.Object(ctx, e)
	})
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	name := s.view(at, e.Path)
	st, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.move(temp, name)
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("it is a %s: rebuild the region", st.Mode().Type())
	}
	if err := s.overwrite(name, temp, e.Size); err != nil {
		return err
	}
	if same, err := holds(name, e); err != nil || !same {
		return errors.Join(err, errors.New("it is damaged again: look at the disk"))
	}
	return nil
}

func (s *session) overwrite(name, with string, size int64) error {
	damaged, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	// A fenced run has lost what it staged. One that is taken over from here on
	// does no harm: this file had its name while the region was still ours.
	in, err := os.Open(with)
	if err != nil {
		return errors.Join(err, damaged.Close())
	}
	defer in.Close()
	s.Crash("mend")
	_, err = io.Copy(damaged, in)
	return errors.Join(err, damaged.Truncate(size), damaged.Sync(), damaged.Close())
}
