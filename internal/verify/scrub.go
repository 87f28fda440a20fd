package verify

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"time"

	"mirrorcycle/internal/tree"
)

// The scrub hashes every file of the tree within scrubTime, a turn at a time.
const (
	scrubTime = 30 * 24 * time.Hour
	turns     = 360 // two hours each
)

// Scrub hashes those files of g whose turn has come since the last scrub, so
// that all of them are read within 30 days however often it is called.
func Scrub(ctx context.Context, t *tree.Tree, g *tree.Generation, now time.Time) (Report, error) {
	c := &checker{t: t, o: Options{Deep: true}}
	memo := struct {
		Turn int64 `json:"turn"`
	}{}
	data, err := t.Memo("scrub")
	if err != nil {
		return c.report, err
	}
	_ = json.Unmarshal(data, &memo) // unreadable means: from now on
	turn := now.Unix() / int64(scrubTime/time.Second/turns)
	if due := turn - memo.Turn; memo.Turn > 0 && due > 0 {
		if c.m, err = t.ManifestOf(g); err != nil {
			return c.report, err
		}
		for e, err := range c.m.All() {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && (turn-turnOf(e.Path))%turns < due {
				err = c.entry(e)
			}
			if err != nil {
				return c.report, err
			}
		}
	}
	if memo.Turn == turn {
		return c.report, nil
	}
	memo.Turn = turn
	if data, err = json.Marshal(memo); err != nil {
		return c.report, err
	}
	return c.report, t.SetMemo("scrub", data)
}

func turnOf(path string) int64 {
	h := fnv.New32a()
	h.Write([]byte(path))
	return int64(h.Sum32() % turns)
}
