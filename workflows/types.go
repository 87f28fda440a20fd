package workflows

import (
	"time"

	"mirrorcycle/activities"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Outcome is how a mirror, or a release to a region, ended.
type Outcome string

// The outcomes. A result is only as good as its worst part.
const (
	Unchanged Outcome = "unchanged" // upstream has nothing new
	Done      Outcome = "done"      // a new generation, complete
	Partial   Outcome = "partial"   // a new generation, with something left as it was
	Planned   Outcome = "planned"   // dry run
	Held      Outcome = "held"      // needs a person's approval
	OnHold    Outcome = "on-hold"   // a person stopped it
	Busy      Outcome = "busy"      // an earlier run still goes on
	Late      Outcome = "late"      // goes on, not waited for any longer
	Failed    Outcome = "failed"
)

// CycleInput starts one pass over a spec.
type CycleInput struct {
	Spec   mirrorspec.Spec `json:"spec"`
	Only   []string        `json:"only,omitempty"` // mirrors; default all
	DryRun bool            `json:"dry_run,omitempty"`
	// Due is the time until the next cycle, by which this one has ended. 0 is
	// for one that nothing follows: it waits as long as the spec says.
	Due mirrorspec.Duration `json:"due,omitempty"`
}

// CycleResult names every mirror × region outcome.
type CycleResult struct {
	Cycle   string         `json:"cycle"`
	Outcome Outcome        `json:"outcome"`
	Mirrors []MirrorResult `json:"mirrors"`
	Sites   []SiteResult   `json:"sites,omitempty"` // the regions' status pages
	Report  *ReportResult  `json:"report,omitempty"`
}

// MirrorInput is what one mirror has to do in a cycle.
type MirrorInput struct {
	Target      activities.Target   `json:"target"`
	Regions     []mirrorspec.Region `json:"regions"`
	Ends        time.Time           `json:"ends"` // when the cycle stops waiting
	ReleaseWait mirrorspec.Duration `json:"release_wait"`
	WheelWindow mirrorspec.Duration `json:"wheel_window,omitempty"`
	DryRun      bool                `json:"dry_run,omitempty"`
	After       bool                `json:"after,omitempty"` // wait for the signal "go" before the refresh
	Tell        bool                `json:"tell,omitempty"`  // the cycle what others wait for
}

// RefreshInput brings one mirror's tree up to date.
type RefreshInput struct {
	Target  activities.Target   `json:"target"`
	Tree    string              `json:"tree"`
	Regions []mirrorspec.Region `json:"regions"`
	Ends    time.Time           `json:"ends,omitzero"` // until then its cycle serves what it seals, afterwards it does so itself
	DryRun  bool                `json:"dry_run,omitempty"`
	Order   Order               `json:"order,omitzero"`
	Going   *Going              `json:"going,omitempty"` // what an earlier run of it left unfinished
	// Replaced are the orders that came to nothing in the runs before.
	Replaced []Order `json:"replaced,omitempty"`
	Steps    *Steps  `json:"steps,omitempty"` // what the runs before have brought
}

// Steps is what the steps of one refresh have brought so far, a generation each.
type Steps struct {
	Count      int          `json:"count"`
	Left       int64        `json:"left"` // units that wait
	Changes    tree.Changes `json:"changes"`
	Downloaded int64        `json:"downloaded"` // bytes
}

// Order is what a person wants of a refresh, and no cycle does by itself.
type Order struct {
	Approved string `json:"approved,omitempty"` // digest of a held plan
	Rollback int64  `json:"rollback,omitempty"` // instead of asking upstream
	// ReleaseWait is how long it waits for the regions, whose outcomes are in its result.
	ReleaseWait mirrorspec.Duration `json:"release_wait,omitempty"`
}

// Same reports whether two orders want the same.
func (o Order) Same(other Order) bool {
	return o.Approved == other.Approved && o.Rollback == other.Rollback
}

// Going is a fetch that goes on in the next run of its workflow.
type Going struct {
	Opened   activities.Opened  `json:"opened"`
	Planned  activities.Planned `json:"planned"`
	Again    []int              `json:"again,omitempty"` // shards that were under way
	Next     int                `json:"next"`            // the first shard that was not begun
	Progress Progress           `json:"progress"`
	Result   MirrorResult       `json:"result"`
	Stop     string             `json:"stop,omitempty"` // why a person asked it not to commit
}

// MirrorResult is how the run of one mirror ended.
type MirrorResult struct {
	Mirror     string             `json:"mirror"`
	Kind       mirrorspec.Kind    `json:"kind"`
	Outcome    Outcome            `json:"outcome"`
	Generation int64              `json:"generation,omitempty"` // newest sealed one
	Changes    *tree.Changes      `json:"changes,omitempty"`
	Plan       string             `json:"plan,omitempty"` // digest, if held or planned
	Info       *tree.PlanInfo     `json:"info,omitempty"`
	Reasons    []string           `json:"reasons,omitempty"` // why held
	Deferred   []tree.Note        `json:"deferred,omitempty"`
	Missing    int64              `json:"missing,omitempty"` // what upstream lists and could not be had up to now
	Refused    int64              `json:"refused,omitempty"` // what upstream lists and cannot be believed
	Tended     *activities.Tended `json:"tended,omitempty"`
	Mended     []string           `json:"mended,omitempty"`     // paths that were damaged and are whole again, "… in region …" where only that was
	Downloaded int64              `json:"downloaded,omitempty"` // bytes
	FaultKind  string             `json:"fault_kind,omitempty"`
	Error      string             `json:"error,omitempty"`
	Regions    []RegionResult     `json:"regions,omitempty"`
	Wheels     []WheelsResult     `json:"wheels,omitempty"` // of a wheels mirror, by platform
	Stale      []string           `json:"stale,omitempty"`  // sources of its requirements that could not be asked
	// Replaced are the orders that came to nothing, because a later one was given before they were carried out.
	Replaced []Order `json:"replaced,omitempty"`
}

// Approval is the digest by which a person approves a held plan: of what it removes.
func (m MirrorResult) Approval() string {
	if m.Info != nil && m.Info.Removals != "" {
		return m.Info.Removals
	}
	return m.Plan
}

// WheelsInput builds what one platform of a wheels mirror lacks.
type WheelsInput struct {
	Target   activities.Target   `json:"target"`
	Tree     string              `json:"tree"`
	Platform mirrorspec.Platform `json:"platform"`
	SoFar    WheelsResult        `json:"so_far"` // of the runs that this one goes on from
	Alone    bool                `json:"alone,omitempty"`
	// Look: nothing is to be built, unless the platform has become another one.
	Look bool `json:"look,omitempty"`
}

// WheelsResult is what came of the builds of a platform.
type WheelsResult struct {
	Platform  string         `json:"platform"`
	Outcome   Outcome        `json:"outcome"`
	Built     int            `json:"built"`
	Failed    int            `json:"failed"`
	Known     int            `json:"known,omitempty"`  // of Failed: as they did the time before
	Builds    int            `json:"builds"`           // still to make
	Waiting   int            `json:"waiting"`          // for another platform
	States    map[string]int `json:"states,omitempty"` // of all pins, when they were last planned
	FaultKind string         `json:"fault_kind,omitempty"`
	Error     string         `json:"error,omitempty"`
}

// ServeInput serves a tree's newest sealed generation in one group of regions.
type ServeInput struct {
	Target  activities.Target   `json:"target"`
	Tree    string              `json:"tree"`
	Regions []mirrorspec.Region `json:"regions"` // of the group
}

// RegionResult is what a region serves after a release.
type RegionResult struct {
	Region    string             `json:"region"`
	Outcome   Outcome            `json:"outcome"`
	Serves    int64              `json:"serves,omitempty"` // confirmed by a probe
	Reaped    *activities.Reaped `json:"reaped,omitempty"`
	FaultKind string             `json:"fault_kind,omitempty"`
	Error     string             `json:"error,omitempty"`
}

// Progress is what the query "progress" answers while a mirror runs.
type Progress struct {
	Mirror      string `json:"mirror"`
	Tree        string `json:"tree,omitempty"`
	Stage       string `json:"stage"`
	Objects     int64  `json:"objects"`      // of the plan
	Bytes       int64  `json:"bytes"`        // of the plan
	DoneObjects int64  `json:"done_objects"` // in shards that are done
	DoneBytes   int64  `json:"done_bytes"`   // in shards that are done
	Shards      int    `json:"shards"`       // of the plan
	DoneShards  int    `json:"done_shards"`
	Generation  int64  `json:"generation"`
	Step        int    `json:"step,omitempty"` // of a refresh in several, from 1
	Left        int64  `json:"left,omitempty"` // units (projects, suites, repositories) that wait for a later step
}
