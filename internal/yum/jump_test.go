package yum_test

import (
	"strings"
	"testing"
	"time"
)

// TestRevisionsThatJump: a repomd.xml that is far ahead is for a person to allow,
// since all that comes later would count as older.
func TestRevisionsThatJump(t *testing.T) {
	for name, c := range map[string]struct {
		first, then int64
		says        string // "" is as usual
	}{
		"the next hour":              {1700000000, 1700003600, ""},
		"a counter":                  {57, 58, ""},
		"from a counter to the time": {57, 1700000000, ""},
		"the end of time":            {1700000000, 1 << 61, "os: "},
		"in ten years":               {1700000000, time.Now().Add(87600 * time.Hour).Unix(), "os: timestamp "},
		"from the time to a date":    {1700000000, 20261201120000, "os: "},
		"ahead, and was so before":   {4000000000, 4000000001, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.publish("os", signedRepo(good, c.first))
			s.must()
			s.publish("os", signedRepo(next, c.then))
			r := s.must()
			if got := strings.Join(r.Info.Jumps, ", "); (got == "") != (c.says == "") || !strings.HasPrefix(got, c.says) {
				t.Errorf("the guard sees %q, want %q", got, c.says)
			}
		})
	}
}
