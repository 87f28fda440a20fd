package workflows

import (
	"slices"
	"unicode/utf8"

	"mirrorcycle/activities"
	"mirrorcycle/internal/tree"
)

// What crosses Temporal is bounded, whatever the disks and upstreams say: a
// message, and so the result of a cycle, must not grow with what goes wrong.
const (
	maxTexts    = 100 << 10 // bytes, of all texts of a cycle's result
	maxText     = 1000      // bytes, of one text of a region
	maxProblems = 5         // problems that a region's result names; its error counts all
)

// cut shortens a text to n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// few are the first of many problems, shortened.
func few(all []string) []string {
	var out []string
	for _, s := range all[:min(len(all), maxProblems)] {
		out = append(out, cut(s, maxText/2))
	}
	return out
}

// bound bounds the texts of a region's result.
func (r *RegionResult) bound() {
	r.Error = cut(r.Error, maxText)
	if r.Reaped != nil {
		reaped := *r.Reaped
		reaped.Problems, reaped.Mended = few(reaped.Problems), few(reaped.Mended)
		r.Reaped = &reaped
	}
}

// purse is the bytes that the texts of a result may still have.
type purse int

func (p *purse) text(s string) string {
	s = cut(s, max(min(int(*p), maxText), 0))
	*p -= purse(len(s))
	return s
}

func (p *purse) texts(all []string) []string {
	var out []string
	for _, s := range all {
		if *p <= 0 {
			break
		}
		out = append(out, p.text(s))
	}
	return out
}

// brief is what the result of a cycle has of a mirror: the texts of all mirrors
// share what one message may carry. The mirror's own run has more.
func brief(m MirrorResult, mirrors int) MirrorResult {
	p := purse(maxTexts / max(mirrors, 1))
	m.Error, m.Reasons, m.Stale = p.text(m.Error), p.texts(m.Reasons), p.texts(m.Stale)
	m.Regions = slices.Clone(m.Regions)
	for i := range m.Regions {
		r := &m.Regions[i]
		r.Error = p.text(r.Error)
		if r.Reaped != nil {
			reaped := *r.Reaped
			reaped.Problems, reaped.Mended = p.texts(reaped.Problems), p.texts(reaped.Mended)
			r.Reaped = &reaped
		}
	}
	if m.Tended != nil {
		t := *m.Tended
		t.Problems, t.Mended, t.Because = p.texts(t.Problems), p.texts(t.Mended), p.text(t.Because)
		m.Tended = &t
	}
	m.Mended = p.texts(m.Mended)
	m.Wheels = slices.Clone(m.Wheels)
	for i := range m.Wheels {
		m.Wheels[i].Error = p.text(m.Wheels[i].Error)
	}
	var notes []tree.Note
	for _, n := range m.Deferred {
		if p <= 0 {
			break
		}
		n.Unit, n.Error = p.text(n.Unit), p.text(n.Error)
		notes = append(notes, n)
	}
	m.Deferred = notes
	if m.Info != nil {
		info := *m.Info
		info.Deferred, info.Emptied, info.Renamed = nil, p.texts(info.Emptied), p.texts(info.Renamed)
		m.Info = &info
	}
	return m
}

// briefs are the targets of steps that ask no upstream, without the long lists of a spec.
func briefs(all []activities.Target) []activities.Target {
	out := slices.Clone(all)
	for i := range out {
		out[i] = out[i].Brief()
	}
	return out
}
