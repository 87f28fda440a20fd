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
	part    = 12  // turns of one pass through the manifest
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

// Options are what a scrub needs.
type Options struct {
	Now  time.Time
	Most int // so many damaged files are noted at most
	// Open opens the manifest; it is called if there is anything to look at.
	Open func() (*manifest.Manifest, error)
	Look func(manifest.Entry) (whole bool, err error)
	// Enough says, after each part of what has piled up in a long pause, whether
	// the rest must wait for the next scrub.
	Enough func() bool
}

// Scrub has the files looked at that were damaged and those whose turn has come
// since, however often it is called, and returns the memo for the next time. A
// file that is not found whole is looked at each time until it is, or is no
// longer named.
func (m Memo) Scrub(o Options) (Memo, error) {
	now := o.Now.Unix() / int64(allTime/time.Second/turns)
	next := Memo{Turn: max(m.Turn, now-turns)} // all files have had their turn since then
	if m.Turn == 0 || m.Turn > now {
		next.Turn = now
	}
	if next.Turn == now && len(m.Damaged) == 0 {
		return next, nil
	}
	all, err := o.Open()
	if err != nil {
		return next, err
	}
	look := func(e manifest.Entry) error {
		whole, err := o.Look(e)
		if !whole && len(next.Damaged) < o.Most {
			next.Damaged = append(next.Damaged, e.Path)
		}
		return err
	}
	seen := map[string]bool{}
	for _, p := range m.Damaged {
		seen[p] = true
		e, named, err := all.Lookup(p)
		if err == nil && named && e.Kind.IsFile() {
			err = look(e)
		}
		if err != nil {
			return next, err
		}
	}
	for next.Turn < now {
		to := min(next.Turn+part, now)
		for e, err := range all.All() {
			if err == nil && e.Kind.IsFile() && !seen[e.Path] && (to-turnOf(e.Path))%turns < to-next.Turn {
				err = look(e)
			}
			if err != nil {
				return next, err
			}
		}
		if next.Turn = to; o.Enough() {
			break
		}
	}
	return next, nil
}

// Within returns an Enough that ends a scrub after d.
func Within(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

func turnOf(path string) int64 {
	h := fnv.New32a()
	h.Write([]byte(path))
	return int64(h.Sum32() % turns)
}
