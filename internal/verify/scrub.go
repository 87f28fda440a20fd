package verify

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// The scrub hashes every file of the tree within scrubTime, a turn at a time.
const (
	scrubTime = 30 * 24 * time.Hour
	turns     = 360 // two hours each
)

// memo is what a scrub tells the next one.
type memo struct {
	Turn    int64    `json:"turn"`
	Damaged []string `json:"damaged,omitempty"` // paths that were not what they should be
}

// Scrub hashes those files of g whose turn has come since the last scrub, so
// that all of them are read within 30 days however often it is called. A
// damaged file is looked at each time until it is whole or no longer named.
func Scrub(ctx context.Context, t *tree.Tree, g *tree.Generation, now time.Time) (Report, error) {
	c := &checker{t: t, o: Options{Deep: true}}
	data, err := t.Memo("scrub")
	if err != nil {
		return c.report, err
	}
	var last memo
	_ = json.Unmarshal(data, &last) // unreadable means: from now on
	next := memo{Turn: now.Unix() / int64(scrubTime/time.Second/turns)}
	due := next.Turn - last.Turn
	if last.Turn == 0 {
		due = 0
	}
	if due > 0 || len(last.Damaged) > 0 {
		if c.m, err = t.ManifestOf(g); err != nil {
			return c.report, err
		}
		var turn func(string) bool
		if due > 0 {
			turn = func(p string) bool { return (next.Turn-turnOf(p))%turns < due }
		}
		if next.Damaged, err = c.scrub(ctx, last.Damaged, turn); err != nil {
			return c.report, err
		}
	}
	if next.Turn == last.Turn && slices.Equal(next.Damaged, last.Damaged) {
		return c.report, nil
	}
	if data, err = json.Marshal(next); err != nil {
		return c.report, err
	}
	return c.report, t.SetMemo("scrub", data)
}

// scrub hashes the files that were damaged and those that are due (nil: none),
// and returns the damaged ones, as many as a report holds.
func (c *checker) scrub(ctx context.Context, again []string, due func(path string) bool) (damaged []string, err error) {
	look := func(e manifest.Entry) error {
		p := &part{t: c.t, deep: true}
		err := p.entry(e)
		if c.take(p); len(p.report.Problems) > 0 && len(damaged) < maxProblems {
			damaged = append(damaged, e.Path)
		}
		return errors.Join(err, ctx.Err())
	}
	seen := map[string]bool{}
	for _, p := range again {
		seen[p] = true
		e, named, err := c.m.Lookup(p)
		if err == nil && named {
			err = look(e)
		}
		if err != nil {
			return nil, err
		}
	}
	if due == nil {
		return damaged, nil
	}
	for e, err := range c.m.All() {
		if err == nil && e.Kind.IsFile() && !seen[e.Path] && due(e.Path) {
			err = look(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return damaged, nil
}

func turnOf(path string) int64 {
	h := fnv.New32a()
	h.Write([]byte(path))
	return int64(h.Sum32() % turns)
}
