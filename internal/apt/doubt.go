package apt

import (
	"encoding/json"
	"errors"
	"fmt"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// doubts remembers, beside any generation, what upstream listed and did not
// have. One answer is no truth: what was left out is asked for again although
// its Release stands still, and an index that was there before is let go of only
// when a second cycle gives the same answer.
type doubts map[string]doubt // by suite

// doubt is what is remembered of one suite.
type doubt struct {
	// Left is set while a form or a file of the committed Release is left out. It
	// is asked for in the cycles 1, 2, 4, 8 and so on after it was, then each maxPause.
	Left  bool  `json:"left,omitempty"`
	Cycle int64 `json:"cycle,omitempty"`
	Next  int64 `json:"next,omitempty"`
	// Lost are the indexes of the committed Release that upstream did not have,
	// by path, with the run that was told so first.
	Lost map[string]teller `json:"lost_by,omitempty"`
}

// teller is a run. Attempts of one and its steps, each with an epoch of its own,
// are one answer.
type teller struct {
	Epoch int64  `json:"epoch"`
	Run   string `json:"run,omitempty"`
}

func (a teller) before(b teller) bool {
	return a.Epoch < b.Epoch && (a.Run == "" || a.Run != b.Run)
}

const (
	doubtsMemo = "apt-doubts"
	maxPause   = 12 // cycles
)

func readDoubts(t *tree.Tree) (doubts, []byte, error) {
	data, err := t.Memo(doubtsMemo)
	d := doubts{}
	if json.Unmarshal(data, &d) != nil || d == nil {
		d = doubts{} // it may be lost without harm
	}
	return d, data, err
}

func (d doubts) write(t *tree.Tree, was []byte) error {
	data, err := json.Marshal(d)
	if err != nil || string(data) == string(was) || was == nil && len(d) == 0 {
		return err
	}
	return t.SetMemo(doubtsMemo, data)
}

func (d doubt) none() bool { return !d.Left && len(d.Lost) == 0 }

// due counts a cycle, and reports whether to ask again in it.
func (d *doubt) due() bool {
	if !d.Left {
		return false
	}
	d.Cycle++
	return d.Cycle >= d.Next
}

// asked notes what asking brought: whether something is still left out.
func (d *doubt) asked(left, again bool) {
	d.Lost = nil // it was had, or is believed
	switch {
	case !left:
		d.Left, d.Cycle, d.Next = false, 0, 0
	case again && d.Left:
		d.Next = d.Cycle + min(max(d.Cycle, 1), maxPause)
	default:
		d.Left, d.Cycle, d.Next = true, 0, 1
	}
}

// lost decides on an index none of whose forms could be had. It is an error
// where that contradicts what upstream had before, unless an earlier run heard
// the same.
func (d *doubt) lost(b *builder, index debrepo.Index, left []leftForm) error {
	if len(left) == 0 {
		return nil // it lists no form that could be proved
	}
	err := worst(left)
	if !absent(err) {
		return err
	}
	had := false
	for _, f := range index.Forms {
		_, named, err := b.was.Lookup(join(b.dir, f.Path))
		if err != nil {
			return err
		}
		had = had || named
	}
	if !had {
		return nil
	}
	now := teller{b.t.Epoch(), b.t.Run()}
	told, ok := d.Lost[index.Path]
	if ok && told.before(now) {
		return nil
	}
	if !ok {
		if d.Lost == nil {
			d.Lost = map[string]teller{}
		}
		d.Lost[index.Path] = now
	}
	return &fault.Error{Kind: fault.KindOf(err), Op: "apt: plan index", Subject: join(b.dir, index.Path),
		Err:    fmt.Errorf("it is listed, it was there before, and now it is not: %w", err),
		Advice: "the suite keeps its generation; if the next cycle gets the same answer, it is believed"}
}

// left notes the forms of an index that could not be had while others could, or
// all of an index that no client needs. Plain forms that were never there are
// ordinary: archives list them and serve the compressed ones.
func (b *builder) left(index debrepo.Index, left []leftForm, some bool) error {
	for _, f := range left {
		old, had, err := b.was.Lookup(join(b.dir, f.Path))
		if err != nil {
			return err
		}
		if some && f.Path == index.Path && absent(f.err) && !(had && old.Size > 0) {
			continue
		}
		b.doubted = true
		why := f.err
		var at *indexError
		if errors.As(why, &at) {
			why = at.err
		}
		b.leave(&fault.Error{Kind: fault.KindOf(why), Op: "apt: fetch index", Subject: join(b.dir, f.Path), Err: why,
			Advice: "it is left out and asked for again; clients take another form"})
	}
	return nil
}
