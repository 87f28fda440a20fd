package pypi

import (
	"encoding/json"
	"hash/fnv"
	"time"

	"mirrorcycle/internal/tree"
)

// Every project has its turn within sweepTime, a slice of time of each.
const (
	sweepTime = 7 * 24 * time.Hour
	turns     = 84 // two hours each
)

// sweep is the projects whose turn it is to be asked although their serial
// stands still: some changes move none.
type sweep struct {
	memo    sweepMemo
	had     sweepMemo
	since   int64           // slices of time up to it were swept
	waiting map[string]bool // of had.Again
}

type sweepMemo struct {
	Slice int64    `json:"slice"`           // slices of time that were swept
	Again []string `json:"again,omitempty"` // projects that could not be asked when it was their turn, or had changed
}

const sweepName = "sweep"

// sweep says whose turn has come since the last one that was done.
func (e *Engine) sweep(t *tree.Tree) (sweep, error) {
	s := sweep{waiting: map[string]bool{}}
	data, err := t.Memo(sweepName)
	if err != nil {
		return s, err
	}
	_ = json.Unmarshal(data, &s.had) // unreadable means: from now on
	s.memo.Slice = e.cfg.Now().Unix() / int64(sweepTime/time.Second/turns)
	if s.since = s.had.Slice; s.since == 0 {
		s.since = s.memo.Slice - 1
	}
	for _, name := range s.had.Again {
		s.waiting[name] = true
	}
	return s, nil
}

// due tells whether it is the turn of a mirrored project: it comes in every
// slice that is congruent to the project's own.
func (s *sweep) due(name string) bool {
	n := s.memo.Slice - s.since
	return s.waiting[name] || n > 0 && (s.memo.Slice-turnOf(name))%turns < n
}

// again gives a mirrored project another turn in the next plan: one that could not
// be asked, or one that had changed, for nobody may commit what this plan knows.
func (s *sweep) again(name string) {
	if s.due(name) {
		s.memo.Again = append(s.memo.Again, name)
	}
}

// done makes the next sweep begin where this one ended.
func (s *sweep) done(t *tree.Tree) error {
	if s.memo.Slice == 0 || s.memo.Slice == s.had.Slice && len(s.memo.Again)+len(s.had.Again) == 0 {
		return nil
	}
	data, err := json.Marshal(s.memo)
	if err != nil {
		return err
	}
	return t.SetMemo(sweepName, data)
}

// turnOf spreads names evenly over the turns.
func turnOf(name string) int64 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int64(h.Sum32() % turns)
}
