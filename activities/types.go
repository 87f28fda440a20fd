// Package activities hands each step of a cycle to one engine and translates its answer for Temporal.
//
// Only names, counts and digests cross Temporal; lists of packages stay in
// files under the state. Every activity may run twice, or beside a late
// attempt of itself: whoever writes holds a lease and is fenced by the tree.
package activities

import (
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Target names one mirror and the storage that holds its tree.
type Target struct {
	Storage mirrorspec.Storage  `json:"storage"`
	Limits  mirrorspec.Limits   `json:"limits"`
	Every   mirrorspec.Duration `json:"every"`
	Mirror  mirrorspec.Mirror   `json:"mirror"`
	AFS     *mirrorspec.AFS     `json:"afs,omitempty"` // of the AFS regions that the mirror goes to
	// Index is, of a wheels mirror, the mirror whose files its pages name, and
	// Referring are, of such a one, the mirrors whose pages name its files.
	Index     *mirrorspec.Mirror `json:"index,omitempty"`
	Referring []string           `json:"referring,omitempty"`
	// Platforms are, of a PyPI mirror with requirements, those of all wheels
	// mirrors of the spec: what its markers are judged by.
	Platforms []mirrorspec.Platform `json:"platforms,omitempty"`
}

// Brief is the target without the lists that may be long and that only who asks
// upstream, or builds wheels, needs.
func (t Target) Brief() Target {
	short := func(m mirrorspec.Mirror) mirrorspec.Mirror {
		m.Projects, m.Exclude, m.Requirements, m.BuildConstraints = nil, nil, nil, nil
		return m
	}
	t.Mirror, t.Platforms = short(t.Mirror), nil
	if t.Index != nil {
		index := short(*t.Index)
		t.Index = &index
	}
	return t
}

// Identified says which tree a mirror has.
type Identified struct {
	Tree   string `json:"tree"`
	Sealed int64  `json:"sealed"` // newest verified generation, 0 for none
}

// OpenInput opens a tree for one run of its mirror.
type OpenInput struct {
	Target  Target              `json:"target"`
	Regions []mirrorspec.Region `json:"regions,omitempty"` // whose generations the next one must be above
}

// Opened is the lease that the run holds.
type Opened struct {
	Tree      string `json:"tree"`
	Epoch     int64  `json:"epoch"`
	Committed int64  `json:"committed"` // 0 for none
	Sealed    int64  `json:"sealed"`    // newest verified generation, 0 for none
	Above     int64  `json:"above"`     // the next number must be above this
	Hold      string `json:"hold,omitempty"`
}

// PlanInput asks upstream what changed.
type PlanInput struct {
	Target   Target `json:"target"`
	Epoch    int64  `json:"epoch"`
	Approved string `json:"approved,omitempty"` // digest of a plan whose removals a person approved
	Spare    bool   `json:"spare,omitempty"`    // pypi: leave the projects of which files would go as they are
	Whole    bool   `json:"whole,omitempty"`    // in one step, however much it is
}

// Planned is a stored plan. Digest is empty if nothing changed.
type Planned struct {
	Digest   string        `json:"digest,omitempty"`
	Info     tree.PlanInfo `json:"info"`
	Approved bool          `json:"approved,omitempty"` // every removal is among the approved ones
}

// FetchInput brings one shard of a plan into the tree.
type FetchInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	Plan   string `json:"plan"`
	Shard  int    `json:"shard"`
}

// Fetched counts what became of a shard.
type Fetched struct {
	Objects    int64 `json:"objects"`
	Bytes      int64 `json:"bytes"`      // of the objects
	Downloaded int64 `json:"downloaded"` // bytes that came from upstream now
	Failed     int64 `json:"failed"`
}

// Progress is an activity's heartbeat: objects and bytes done of its share.
type Progress struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// CommitInput makes a fetched plan the next generation.
type CommitInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	Plan   string `json:"plan"`
	Above  int64  `json:"above"`
	Hold   string `json:"hold,omitempty"` // why the mirror was on hold when the run began; any other reason stops it
}

// Committed is the new generation, with the units that stayed as they were.
type Committed struct {
	Epoch    int64        `json:"epoch"` // of the lease from now on
	Number   int64        `json:"number"`
	Changes  tree.Changes `json:"changes"`
	Deferred []tree.Note  `json:"deferred,omitempty"`
	Hold     string       `json:"hold,omitempty"` // why nothing was committed: a person stopped it meanwhile
}

// RollbackInput makes an old generation's content the next generation.
type RollbackInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	To     int64  `json:"to"`
	From   int64  `json:"from"` // the committed generation
	Above  int64  `json:"above"`
}

// VerifyInput doubts a generation of the tree; 0 means the committed one.
type VerifyInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch,omitempty"` // 0: look only, do not seal
	Number int64  `json:"number,omitempty"`
	Full   bool   `json:"full,omitempty"` // every entry, not only what changed
	Deep   bool   `json:"deep,omitempty"` // hash every file

	Regions []mirrorspec.Region `json:"regions,omitempty"` // copies of what is damaged may come from them
}

// Verified counts what was looked at and what was wrong.
type Verified struct {
	Number   int64    `json:"number"`
	Indexes  int64    `json:"indexes"`
	Objects  int64    `json:"objects"`
	Hashed   int64    `json:"hashed"` // bytes
	Problems []string `json:"problems,omitempty"`
	Mended   []string `json:"mended,omitempty"` // paths that were damaged and are whole again
	Sealed   bool     `json:"sealed"`
}

// TendInput deletes what is due in the tree.
type TendInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	Plan   string `json:"plan,omitempty"` // kept, the other plans are purged

	// The AFS sites among them answer from the tree itself, and copies of what is damaged may come from any.
	Regions []mirrorspec.Region `json:"regions,omitempty"`
}

// Tended counts it.
type Tended struct {
	Reaped  tree.Reaped `json:"reaped"`
	Expired int         `json:"expired"`           // generations
	Waiting int         `json:"waiting"`           // generations whose drops are still kept
	Because string      `json:"because,omitempty"` // what the first of them waits for, if it is an AFS site
	// Scrubbed bytes were hashed anew; Problems are files that are not what they were.
	Scrubbed int64    `json:"scrubbed,omitempty"`
	Problems []string `json:"problems,omitempty"`
	Mended   []string `json:"mended,omitempty"` // paths that were damaged and are whole again
}

// RegionInput works on one mirror in one region.
type RegionInput struct {
	Target Target            `json:"target"`
	Region mirrorspec.Region `json:"region"`
	Tree   string            `json:"tree"`
	Number int64             `json:"number,omitempty"` // for Probe: what the region should serve
}

// GroupInput publishes one mirror to all sites of its AFS volume.
type GroupInput struct {
	Target  Target              `json:"target"`
	Regions []mirrorspec.Region `json:"regions"`
	Tree    string              `json:"tree"`
}

// Probed is what a region's URLs were seen to serve.
type Probed struct {
	Serves int64     `json:"serves"` // the lowest of all front ends, 0 if none answers
	At     time.Time `json:"at"`
	Error  string    `json:"error,omitempty"`
}

// Outcome and Reaped of a region, as the backend says.
type (
	Outcome = backend.Outcome
	Reaped  = backend.Reaped
)
