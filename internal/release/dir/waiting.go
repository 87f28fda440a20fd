package dir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// waiting counts the objects that are dropped and still kept. Each cycle tells
// it; it is kept beside the drops, because counting looks each of them up in
// the manifest. What is not of this generation and these drops is counted anew.
type waiting struct {
	Serves  int64   `json:"serves"` // the generation that is served
	Drops   []int64 `json:"drops"`  // the generations whose drops are kept
	Objects int64   `json:"objects"`
	Bytes   int64   `json:"bytes"`
}

func (w *waiting) add(e manifest.Entry, n int64) {
	if e.Kind.IsFile() {
		w.Objects += n
		w.Bytes += n * e.Size
	}
}

// counted returns what was counted for the generation that is served and the
// drops given; ok is false if that was not counted yet.
func (r *Region) counted(serves int64, drops []int64) (w waiting, ok bool) {
	if len(drops) == 0 {
		return waiting{Serves: serves}, true
	}
	data, err := os.ReadFile(r.path("waiting"))
	if err != nil || json.Unmarshal(data, &w) != nil {
		return waiting{}, false
	}
	return w, w.Serves == serves && slices.Equal(w.Drops, drops)
}

// tell reports what is counted already; ok is false if it is not.
func (v *survey) tell(out *backend.Reaped) (ok bool) {
	w, ok := v.counted(v.cur.Number, v.drops)
	out.Waiting, out.WaitingBytes = w.Objects, w.Bytes
	return ok
}

// count looks all drops up.
func (v *survey) count() (waiting, error) {
	var w waiting
	err := v.condemned(func(int64) bool { return true }, func(_ int64, e manifest.Entry) error {
		w.add(e, 1)
		return nil
	})
	return w, err
}

// keepCount writes down what waits while v is served; it was counted before as w.
func (s *session) keepCount(v *survey, w waiting) error {
	if len(v.drops) == 0 {
		if _, err := os.Lstat(s.path("waiting")); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return s.discard(s.path("waiting"))
	}
	w.Serves, w.Drops = v.cur.Number, v.drops
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return s.put(s.path("waiting"), append(data, '\n'))
}

// countFlip counts what waits after the flip from cur to next: p drops some
// more, and names some again.
func (s *session) countFlip(cur *tree.Served, next tree.Served, p *plan) error {
	v := &survey{Region: s.Region, cur: next}
	var err error
	if v.drops, err = s.list("drops", next.Number); err != nil {
		return err
	}
	before := v.drops
	if len(p.drops) > 0 && len(before) > 0 {
		before = before[:len(before)-1] // those of next are the last
	}
	var w waiting
	known := false
	if cur != nil && !p.pinned {
		w, known = s.counted(cur.Number, before)
	}
	if !known {
		if w, err = v.count(); err != nil {
			return err
		}
		return s.keepCount(v, w)
	}
	for _, e := range p.drops {
		w.add(e, 1) // it was named: it did not wait
	}
	if len(p.added) > 0 {
		old := &survey{Region: s.Region, drops: before}
		err = old.latest(func(_ int64, e manifest.Entry) error {
			if p.added[e.Path] {
				w.add(e, -1)
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	return s.keepCount(v, w)
}
