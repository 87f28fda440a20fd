package mirror

import (
	"encoding/json"
	"maps"
	"slices"

	"mirrorcycle/internal/tree"
)

// recognise marks the standing notes that an earlier run told of, and puts the
// new ones first. What was told is remembered beside the tree; lost, everything
// is new once more. Attempts of one run have the same epoch.
func recognise(t *tree.Tree, notes []tree.Note) error {
	const name = "standing"
	data, err := t.Memo(name)
	if err != nil {
		return err
	}
	var told map[string]int64 // epochs of the runs that told first
	if json.Unmarshal(data, &told) != nil {
		told = nil
	}
	now := map[string]int64{}
	for i := range notes {
		n := &notes[i]
		if !n.Standing {
			continue
		}
		key := n.Unit + ": " + n.Error
		first, ok := told[key]
		if !ok {
			first = t.Epoch()
		}
		now[key], n.Known = first, n.Known || first < t.Epoch()
	}
	slices.SortStableFunc(notes, func(a, b tree.Note) int {
		switch {
		case a.Known == b.Known:
			return 0
		case a.Known:
			return 1
		}
		return -1
	})
	if maps.Equal(told, now) {
		return nil
	}
	if data, err = json.Marshal(now); err != nil {
		return err
	}
	return t.SetMemo(name, data)
}

// left is what a plan's commit leaves as it was.
type left struct {
	Plan  string      `json:"plan"`
	Notes []tree.Note `json:"notes"`
}

const leftMemo = "left"

// leave notes what a commit is about to leave, for an attempt that comes after it.
func leave(t *tree.Tree, plan string, notes []tree.Note) error {
	if len(notes) == 0 {
		return nil
	}
	data, err := json.Marshal(left{plan, notes})
	if err != nil {
		return err
	}
	return t.SetMemo(leftMemo, data)
}

// leftBy returns what the commit of a plan left, as far as that is known.
func leftBy(t *tree.Tree, plan string) []tree.Note {
	var l left
	data, err := t.Memo(leftMemo)
	if err != nil || json.Unmarshal(data, &l) != nil || l.Plan != plan {
		return nil
	}
	return l.Notes
}
