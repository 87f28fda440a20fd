// Package activities hands each step of a cycle to one mirror or region and translates its answer for Temporal.
//
// Only names, counts and digests cross Temporal; lists of packages stay in
// files under the state. Every activity may run twice, or beside a late
// attempt of itself: whoever writes holds a lease and is fenced by the tree.
package activities

import (
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// OpenInput opens a tree for one run of its mirror.
type OpenInput struct {
	Target  Target              `json:"target"`
	Regions []mirrorspec.Region `json:"regions,omitempty"` // whose generations the next one must be above
}

// PlanInput asks upstream what changed.
type PlanInput struct {
	Target   Target `json:"target"`
	Epoch    int64  `json:"epoch"`
	Approved string `json:"approved,omitempty"` // digest of a plan whose removals a person approved
	Spare    bool   `json:"spare,omitempty"`    // pypi: leave the projects of which files would go as they are
	Whole    bool   `json:"whole,omitempty"`    // in one step, however much it is
}

// FetchInput brings one shard of a plan into the tree.
type FetchInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	Plan   string `json:"plan"`
	Shard  int    `json:"shard"`
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

// TendInput deletes what is due in the tree.
type TendInput struct {
	Target Target `json:"target"`
	Epoch  int64  `json:"epoch"`
	Plan   string `json:"plan,omitempty"` // held: kept with those held before it, the other plans are purged
	Open   bool   `json:"open,omitempty"` // the run decided nothing on what was held before: that is kept, too

	// The AFS sites among them answer from the tree itself, and copies of what is damaged may come from any.
	Regions []mirrorspec.Region `json:"regions,omitempty"`
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

// RequireInput asks what is wanted of a wheels mirror now.
type RequireInput struct {
	Target Target `json:"target"`
}

// Outcome and Reaped of a region, as the backend says.
type (
	Outcome = backend.Outcome
	Reaped  = backend.Reaped
)

// What a mirror is named by, and what its steps answer.
type (
	Target     = mirror.Target
	Identified = mirror.Identified
	Opened     = mirror.Opened
	Planned    = mirror.Planned
	Fetched    = mirror.Fetched
	Committed  = mirror.Committed
	Verified   = mirror.Verified
	Tended     = mirror.Tended
)

// What starter asks of a mirror, and the answers.
type (
	Question          = mirror.Question
	Answer            = mirror.Answer
	MirrorStatus      = mirror.MirrorStatus
	Lack              = mirror.Lack
	LastRun           = mirror.LastRun
	GenerationSummary = mirror.GenerationSummary
	Why               = mirror.Why
	PlanView          = mirror.PlanView
	WheelState        = mirror.WheelState
)

// The steps of wheels.
type (
	Required       = mirror.Required
	Facts          = mirror.Facts
	PlatformInput  = mirror.PlatformInput
	WheelPlanInput = mirror.WheelPlanInput
	WheelPlanned   = mirror.WheelPlanned
	BuildInput     = mirror.BuildInput
	BuildRequest   = mirror.BuildRequest
	Delivered      = mirror.Delivered
	IngestInput    = mirror.IngestInput
	Ingested       = mirror.Ingested
)

// The verbs of a Question.
const (
	VerbStatus   = mirror.VerbStatus
	VerbHold     = mirror.VerbHold
	VerbResume   = mirror.VerbResume
	VerbWhy      = mirror.VerbWhy
	VerbPlan     = mirror.VerbPlan
	VerbVerify   = mirror.VerbVerify
	VerbReleases = mirror.VerbReleases
	VerbWheels   = mirror.VerbWheels
	VerbRetry    = mirror.VerbRetry
	VerbSkip     = mirror.VerbSkip
)

// Told bounds notes that cross Temporal, in number and in length.
func Told(all []tree.Note) []tree.Note { return mirror.Told(all) }

// Guard says why a plan needs a person's approval.
func Guard(g mirrorspec.Guard, info tree.PlanInfo) []string { return mirror.Guard(g, info) }
