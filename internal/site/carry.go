package site

import "time"

// maxCycles is how many cycles the page remembers.
const maxCycles = 48

// Carry takes over what only the page before knows: when things were last as
// they should be, what a mirror that this cycle left out did, the cycles before.
// now is the time of what s says.
func (s *Status) Carry(before *Status, now time.Time) {
	if before == nil {
		before = new(Status)
	}
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		old := before.Mirror(m.Name)
		if old == nil {
			old = new(Mirror)
		}
		m.carry(old, now)
	}
	cycles := before.Cycles
	if n := len(s.Cycles); n > 0 && len(cycles) > 0 && !s.Cycles[0].Started.After(cycles[len(cycles)-1].Started) {
		cycles = nil // written a second time, or a clock that went back
		for _, c := range before.Cycles {
			if c.Started.Before(s.Cycles[0].Started) {
				cycles = append(cycles, c)
			}
		}
	}
	s.Cycles = append(cycles[:len(cycles):len(cycles)], s.Cycles...)
	if extra := len(s.Cycles) - maxCycles; extra > 0 {
		s.Cycles = s.Cycles[extra:]
	}
}

func (m *Mirror) carry(old *Mirror, now time.Time) {
	if m.Outcome == "" { // not part of this cycle
		m.Outcome = old.Outcome
		if m.Error == "" && old.Outcome == "failed" { // any other error was of the moment
			m.FaultKind, m.Error = old.FaultKind, old.Error
		}
		m.Reasons, m.Plan, m.Deferred, m.Tended = old.Reasons, old.Plan, old.Deferred, old.Tended
		m.LevelAt = old.LevelAt
	} else if m.LevelAt = old.LevelAt; m.Outcome == "unchanged" || m.Outcome == "done" {
		m.LevelAt = now
	}
	if m.Generation == 0 && m.Error != "" { // the tree could not be read: what it had it still has
		m.Committed, m.Generation, m.Time, m.Generations = old.Committed, old.Generation, old.Time, old.Generations
		m.Serial, m.Date, m.Objects, m.Bytes, m.Retained = old.Serial, old.Date, old.Objects, old.Bytes, old.Retained
		m.Lacks = old.Lacks
	}
	for i := range m.Regions {
		r := &m.Regions[i]
		was := old.In(r.Region)
		if was == nil {
			was = new(Served)
		}
		r.carry(was, m, now)
	}
}

func (r *Served) carry(was *Served, m *Mirror, now time.Time) {
	switch {
	case r.Serves > 0:
		r.SeenAt = now
	case r.Outcome == "": // nobody looked
		*r = Served{Region: r.Region, Outcome: was.Outcome, Serves: was.Serves, SeenAt: was.SeenAt, FaultKind: was.FaultKind, Error: was.Error,
			Waiting: was.Waiting, WaitingBytes: was.WaitingBytes}
	default: // asked, and it did not say
		r.Serves, r.SeenAt = was.Serves, was.SeenAt
	}
	r.Time = m.made(r.Serves)
	if r.Time.IsZero() && r.Serves == was.Serves {
		r.Time = was.Time
	}
	r.LevelAt = was.LevelAt
	switch {
	case r.SeenAt.Equal(now) && r.Serves >= m.Generation:
		r.LevelAt = now
	case r.LevelAt.IsZero() && m.Generation > 0:
		r.LevelAt = now // the clock starts when there is something to serve
	}
}
