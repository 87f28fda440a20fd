package apt_test

import (
	"errors"
	"testing"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

func TestValidUntilIsThatOfTheFirstSuiteToRunOut(t *testing.T) {
	for name, c := range map[string]struct {
		engine string
		want   time.Time
		wrong  error
	}{
		"none says":         {engine: `{"suites":{"a":{},"b":{}}}`},
		"nothing committed": {},
		"one says":          {engine: `{"suites":{"a":{},"b":{"valid_until":"2026-03-02T00:00:00Z"}}}`, want: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
		"two say": {engine: `{"suites":{"a":{"valid_until":"2026-03-01T00:00:00Z"},"b":{"valid_until":"2026-03-02T00:00:00Z"}}}`,
			want: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		"damaged": {engine: `{`, wrong: fault.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			g := &tree.Generation{Engine: []byte(c.engine)}
			if got, err := apt.ValidUntil(g); !got.Equal(c.want) || !errors.Is(err, c.wrong) {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}
