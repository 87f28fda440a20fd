// Package site writes what a region shows about itself: a status page, status.json, and how long to believe them.
//
// All of it is static files in a small directory beside the mirrors, so that a
// region's own web server shows them when everything else is down. Nothing in
// them needs JavaScript. Pages say when they were written: a file cannot know
// how old it is. /healthz can be computed all the same, by whoever compares
// status.json's "healthy_until" with a clock, or by any web server that finds
// the file health/<seconds of the epoch / 1000> (see Health).
package site

import (
	"time"

	"mirrorcycle/mirrorspec"
)

// Version is raised when a field of Status changes its meaning. Fields may be added without that.
const Version = 1

// Level is how much somebody should care.
type Level string

// The levels, from best to worst.
const (
	OK        Level = "ok"
	Attention Level = "attention" // clients get all that was ever promised; somebody should look
	Wrong     Level = "wrong"
)

// Status is status.json: where the mirrors and regions of a cycle stand, as one region shows it.
type Status struct {
	Version      int                 `json:"version"`
	Cycle        string              `json:"cycle"`
	Region       string              `json:"region"` // whose page it is
	Written      time.Time           `json:"written,omitzero"`
	HealthyUntil time.Time           `json:"healthy_until,omitzero"` // from then on /healthz is 503
	Every        mirrorspec.Duration `json:"every,omitempty"`        // between cycles; none with cron
	Level        Level               `json:"level"`
	Problems     []Problem           `json:"problems,omitempty"` // worst first
	Regions      []Region            `json:"regions,omitempty"`
	Mirrors      []Mirror            `json:"mirrors,omitempty"`
	Cycles       []Cycle             `json:"cycles,omitempty"` // oldest first
}

// Problem is one thing that is not right.
type Problem struct {
	Level  Level  `json:"level"`
	Mirror string `json:"mirror,omitempty"`
	Region string `json:"region,omitempty"`
	What   string `json:"what"`
	Detail string `json:"detail,omitempty"` // as the program reported it
	Do     string `json:"do"`               // what helps
	Run    string `json:"run,omitempty"`    // a command that does
}

// Region is a place that clients read from.
type Region struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Mirror is where one mirror stands.
type Mirror struct {
	Name      string          `json:"name"`
	Kind      mirrorspec.Kind `json:"kind"`
	Outcome   string          `json:"outcome,omitempty"` // of the last cycle that ran it
	FaultKind string          `json:"fault_kind,omitempty"`
	Error     string          `json:"error,omitempty"`
	Reasons   []string        `json:"reasons,omitempty"`  // why held
	Plan      string          `json:"plan,omitempty"`     // digest of the plan that is held
	Hold      string          `json:"hold,omitempty"`     // why a person stopped it
	Deferred  []Note          `json:"deferred,omitempty"` // units that stayed as they were
	Tended    string          `json:"tended,omitempty"`   // what went wrong while deleting or hashing

	Committed  int64     `json:"committed"`
	Generation int64     `json:"generation"`        // newest verified one, which regions get
	Time       time.Time `json:"time,omitzero"`     // when it was made
	LevelAt    time.Time `json:"level_at,omitzero"` // when the tree last had all that upstream has
	Serial     int64     `json:"serial,omitempty"`  // of upstream: PyPI's last serial
	Date       time.Time `json:"date,omitzero"`     // of upstream: newest Date of a Release
	Objects    int64     `json:"objects"`
	Bytes      int64     `json:"bytes"`
	Retained   int64     `json:"retained"` // dropped objects that the tree still has
	FreeBytes  int64     `json:"free_bytes"`

	Lacks *Lacks `json:"lacks,omitempty"`

	Generations []Generation `json:"generations,omitempty"` // oldest first, a few
	Regions     []Served     `json:"regions,omitempty"`
}

// New counts the notes that no cycle before told of.
func (m *Mirror) New() (n int64) {
	for _, d := range m.Deferred {
		if !d.Known {
			n++
		}
	}
	return n
}

// Lacks is what upstream lists and the mirror has not, or has as it was.
type Lacks struct {
	Missing map[string]int64 `json:"missing,omitempty"` // could not be had, by kind of fault
	Refused map[string]int64 `json:"refused,omitempty"` // cannot be believed, by kind of fault
	Some    []Lack           `json:"some,omitempty"`
}

// Total counts all of it.
func (l *Lacks) Total() (n int64) {
	if l != nil {
		for _, by := range []map[string]int64{l.Missing, l.Refused} {
			for _, k := range by {
				n += k
			}
		}
	}
	return n
}

// Lack is one thing that the mirror has not.
type Lack struct {
	Unit    string `json:"unit"`           // suite or project
	File    string `json:"file,omitempty"` // "": all of it, or a part that has no name of its own
	Reason  string `json:"reason"`
	Refused bool   `json:"refused,omitempty"`
}

// Note names a unit that stayed as it was.
type Note struct {
	Unit  string `json:"unit"`
	Error string `json:"error"`
	Known bool   `json:"known,omitempty"` // upstream goes on lacking it; cycles before told of it
}

// Generation is what one generation changed.
type Generation struct {
	Number     int64     `json:"number"`
	Time       time.Time `json:"time"`
	Added      int64     `json:"added"`
	AddedBytes int64     `json:"added_bytes"`
	Dropped    int64     `json:"dropped"`
	Replaced   int64     `json:"replaced"`
	Indexes    int64     `json:"indexes"`
}

// Served is what one region serves of a mirror.
type Served struct {
	Region       string    `json:"region"`
	Outcome      string    `json:"outcome,omitempty"`
	Serves       int64     `json:"serves"`            // generation, 0 if unknown
	Time         time.Time `json:"time,omitzero"`     // when that was made
	SeenAt       time.Time `json:"seen_at,omitzero"`  // when a probe saw it served
	LevelAt      time.Time `json:"level_at,omitzero"` // when a probe last saw the newest generation served
	FaultKind    string    `json:"fault_kind,omitempty"`
	Error        string    `json:"error,omitempty"`
	Waiting      int64     `json:"waiting"`       // dropped objects that the region still keeps
	WaitingBytes int64     `json:"waiting_bytes"` // their size
}

// Cycle is one pass over the spec.
type Cycle struct {
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Outcome string    `json:"outcome"`
}

// Mirror returns the mirror of that name, or nil.
func (s *Status) Mirror(name string) *Mirror {
	for i := range s.Mirrors {
		if s.Mirrors[i].Name == name {
			return &s.Mirrors[i]
		}
	}
	return nil
}

// In returns what a region serves of the mirror, or nil if it does not go there.
func (m *Mirror) In(region string) *Served {
	for i := range m.Regions {
		if m.Regions[i].Region == region {
			return &m.Regions[i]
		}
	}
	return nil
}

// made returns when generation n was made, zero if that is no longer known.
func (m *Mirror) made(n int64) time.Time {
	if n == m.Generation {
		return m.Time
	}
	for _, g := range m.Generations {
		if g.Number == n {
			return g.Time
		}
	}
	return time.Time{}
}
