package verify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/turns"
)

// scrubTime is after what time a scrub leaves the rest of a long pause to the next.
const scrubTime = 30 * time.Minute

// Scrub hashes those files of g whose turn has come since the last scrub, so
// that all of them are read within 30 days however often it is called. A
// damaged file is looked at each time until it is whole or no longer named, and
// so are suspects, paths of files that somebody could not use.
func Scrub(ctx context.Context, t *tree.Tree, g *tree.Generation, now time.Time, suspects ...string) (Report, error) {
	c := &checker{t: t, o: Options{Deep: true}}
	data, err := t.Memo("scrub")
	if err != nil {
		return c.report, err
	}
	last := turns.Read(data)
	had := last
	for _, p := range suspects {
		if !slices.Contains(last.Damaged, p) {
			last.Damaged = append(slices.Clone(last.Damaged), p)
		}
	}
	look := func(e manifest.Entry) (bool, error) {
		p := &part{t: c.t, deep: true}
		err := p.entry(e)
		c.take(p)
		return len(p.report.Problems) == 0, errors.Join(err, ctx.Err())
	}
	next, err := last.Scrub(turns.Options{Now: now, Most: maxProblems, Look: look, Enough: turns.Within(scrubTime),
		Open: func() (*manifest.Manifest, error) { return t.ManifestOf(g) }})
	if err != nil || next.Equal(had) {
		return c.report, err
	}
	if data, err = json.Marshal(next); err != nil {
		return c.report, err
	}
	return c.report, t.SetMemo("scrub", data)
}
