package wheels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"mirrorcycle/internal/durable"
)

// keepUnwanted is for how long wheels and logs of pins that nobody wants any
// more stay in the state: a pin may come back. What clients may still ask for
// is in the tree, not here.
const keepUnwanted = 30 * 24 * time.Hour

// unwantedFile says since when nobody wants a file. The files' own times must
// not say so: they are the tree's and the regions' files too.
const unwantedFile = "unwanted.json"

// Tend removes own wheels and logs that nobody has wanted for 30 days.
func (s Store) Tend(platforms []Platform) (removed int, err error) {
	wanted := map[string]bool{}
	for _, p := range platforms {
		for _, pin := range p.Wanted {
			// Another platform's wheel may serve this one.
			for _, other := range platforms {
				e := other.Log[pin]
				for _, r := range []*Record{e.Built, e.Failed} {
					if r != nil {
						wanted["built/"+r.SHA256], wanted["logs/"+r.Log] = true, true
					}
				}
			}
		}
	}
	had, err := s.unwanted()
	if err != nil {
		return 0, err
	}
	now := map[string]time.Time{}
	for _, kind := range []string{"built", "logs"} {
		all, err := os.ReadDir(s.path(kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("wheels: tend: %w", err)
		}
		for _, e := range all {
			name := kind + "/" + e.Name()
			since, known := had[name]
			switch {
			case wanted[name]:
			case known && s.now().Sub(since) > keepUnwanted:
				if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return removed, fmt.Errorf("wheels: tend: %w", err)
				}
				removed++
			case known:
				now[name] = since
			default:
				now[name] = s.now()
			}
		}
	}
	if maps.Equal(had, now) {
		return removed, nil
	}
	return removed, s.setUnwanted(now)
}

func (s Store) unwanted() (map[string]time.Time, error) {
	out := map[string]time.Time{}
	data, err := os.ReadFile(s.path(unwantedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("wheels: tend: %w", err)
	}
	if json.Unmarshal(data, &out) != nil {
		return map[string]time.Time{}, nil // from now on
	}
	return out, nil
}

func (s Store) setUnwanted(m map[string]time.Time) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := s.path(unwantedFile)
	return durable.Replace(name, append(data, '\n'), 0o644)
}
