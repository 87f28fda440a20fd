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

// TestRollbackTakesAJumpBack: a revision far ahead that was approved by mistake
// is what later ones are older than, until a rollback brings the one before back.
func TestRollbackTakesAJumpBack(t *testing.T) {
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1700000000))
	first := s.must()
	s.publish("os", signedRepo(next, 1<<61))
	s.must() // the bench has no guard: as if approved
	s.publish("os", signedRepo(next, 1700003600))
	if r := s.cycle(); r.Err == nil && r.Number != 0 && len(r.Notes) == 0 {
		t.Fatalf("the older revision is believed; the test shows nothing: %+v", r)
	}
	if err := s.b.Rollback(first.Number); err != nil {
		t.Fatal(err)
	}
	s.must()
	s.holds("os")
}
