package turns_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/turns"
)

// store keeps segments in memory.
type store map[manifest.Digest][]byte

func (s store) ReadSegment(d manifest.Digest) ([]byte, error) {
	if data, ok := s[d]; ok {
		return data, nil
	}
	return nil, os.ErrNotExist
}

func (s store) WriteSegment(d manifest.Digest, data []byte) error {
	s[d] = append([]byte(nil), data...)
	return nil
}

const files = 3000

// house is a manifest, and how often each of its files was looked at.
type house struct {
	m      *manifest.Manifest
	looked map[string]int
	broken map[string]bool
	opened int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	m, err := manifest.Write(store{}, func(yield func(manifest.Entry, error) bool) {
		for i := range files {
			if !yield(manifest.Entry{Path: fmt.Sprintf("pool/%04d", i), Kind: manifest.Object, Size: 1, Digest: manifest.Digest{1}}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &house{m: m, looked: map[string]int{}, broken: map[string]bool{}}
}

func (h *house) scrub(t *testing.T, m turns.Memo, now time.Time, enough bool) turns.Memo {
	t.Helper()
	next, err := m.Scrub(turns.Options{Now: now, Most: 2, Enough: func() bool { return enough },
		Open: func() (*manifest.Manifest, error) { h.opened++; return h.m, nil },
		Look: func(e manifest.Entry) (bool, error) { h.looked[e.Path]++; return !h.broken[e.Path], nil }})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// once wants every file looked at n times.
func (h *house) once(t *testing.T, n int) {
	t.Helper()
	if len(h.looked) != files {
		t.Errorf("%d of %d files looked at", len(h.looked), files)
	}
	for p, got := range h.looked {
		if got != n {
			t.Fatalf("%s looked at %d times, want %d", p, got, n)
		}
	}
}

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAllFilesInThirtyDays(t *testing.T) {
	for _, every := range []time.Duration{time.Hour, 5 * time.Hour, 24 * time.Hour, 8 * 24 * time.Hour, 90 * 24 * time.Hour} {
		h := newHouse(t)
		m := h.scrub(t, turns.Memo{}, begin, false)
		if h.opened > 0 {
			t.Error("the first scrub looks at what was just written")
		}
		end := begin.Add(30 * 24 * time.Hour)
		for now := begin.Add(every); now.Before(end); now = now.Add(every) {
			m = h.scrub(t, m, now, false)
		}
		m = h.scrub(t, m, end, false)
		h.once(t, 1)
		opened := h.opened
		if h.scrub(t, m, end, false); h.opened != opened {
			t.Errorf("every %v: looked at again in the same turn", every)
		}
	}
}

// TestLongPause: what has piled up in a pause is looked at in parts, none twice.
func TestLongPause(t *testing.T) {
	h := newHouse(t)
	m := h.scrub(t, turns.Memo{}, begin, true)
	now := begin.Add(400 * 24 * time.Hour)
	most := 0
	for before := -1; before < len(h.looked); {
		before = len(h.looked)
		m = h.scrub(t, m, now, true)
		most = max(most, len(h.looked)-before)
	}
	h.once(t, 1)
	if most > files/10 {
		t.Errorf("%d files in one part", most)
	}
}

func TestDamagedFilesAreLookedAtAgain(t *testing.T) {
	h := newHouse(t)
	m := h.scrub(t, turns.Memo{}, begin, false)
	h.broken["pool/0007"] = true
	now := begin.Add(30 * 24 * time.Hour)
	m = h.scrub(t, m, now, false)
	for range 2 { // though nothing is due
		m = h.scrub(t, m, now, false)
	}
	if h.looked["pool/0007"] != 3 || h.looked["pool/0008"] != 1 {
		t.Errorf("the damaged file was looked at %d times, another %d times", h.looked["pool/0007"], h.looked["pool/0008"])
	}
	h.broken["pool/0007"] = false
	if m = h.scrub(t, m, now, false); len(m.Damaged) > 0 {
		t.Errorf("still noted as damaged: %v", m.Damaged)
	}
	// A clock that was ahead does not stop the scrubs for as long.
	h = newHouse(t)
	m = h.scrub(t, turns.Memo{}, now.Add(1000*24*time.Hour), false)
	m = h.scrub(t, m, now, false)
	h.scrub(t, m, now.Add(30*24*time.Hour), false)
	h.once(t, 1)
}
