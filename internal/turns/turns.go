// Package turns spreads the hashing of all files over thirty days.
package turns

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"time"

	"mirrorcycle/internal/manifest"
)

// The files of a manifest are all hashed within allTime, a turn at a time.
const (
	allTime = 30 * 24 * time.Hour
	turns   = 360 // two hours each
)

// Memo is what a scrub tells the next one.
type Memo struct {
	Turn    int64    `json:"turn"`
	Damaged []string `json:"damaged,omitempty"` // paths that were not what they should be
}

// Read reads a memo; an unreadable one means: from now on.
func Read(data []byte) (m Memo) {
	_ = json.Unmarshal(data, &m)
	return m
}

// Equal reports whether there is nothing new to note.
func (m Memo) Equal(o Memo) bool { return m.Turn == o.Turn && slices.Equal(m.Damaged, o.Damaged) }

// Scrub has look see the files that were damaged and those whose turn has come
// since, however often it is called, and returns the memo for the next time. It
// opens the manifest only if there are any. A file that look does not find whole
// is looked at each time until it is, or is no longer named; most limits how
// many of them are noted.
func (m Memo) Scrub(now time.Time, most int, open func() (*manifest.Manifest, error), look func(manifest.Entry) (whole bool, err error)) (Memo, error) {
	next := Memo{Turn: now.Unix() / int64(allTime/time.Second/turns)}
	due := next.Turn - m.Turn
	if m.Turn == 0 {
		due = 0
	}
	if due <= 0 && len(m.Damaged) == 0 {
		return next, nil
	}
	all, err := open()
	if err != nil {
		return next, err
	}
	see := func(e manifest.Entry) error {
		whole, err := look(e)
		if !whole && len(next.Damaged) < most {
			next.Damaged = append(next.Damaged, e.Path)
		}
		return err
	}
	seen := map[string]bool{}
	for _, p := range m.Damaged {
		seen[p] = true
		e, named, err := all.Lookup(p)
		if err == nil && named && e.Kind.IsFile() {
			err = see(e)
		}
		if err != nil {
			return next, err
		}
	}
	if due <= 0 {
		return next, nil
	}
	for e, err := range all.All() {
		if err == nil && e.Kind.IsFile() && !seen[e.Path] && (next.Turn-turnOf(e.Path))%turns < due {
			err = see(e)
		}
		if err != nil {
			return next, err
		}
	}
	return next, nil
}

func turnOf(path string) int64 {
	h := fnv.New32a()
	h.Write([]byte(path))
	return int64(h.Sum32() % turns)
}
