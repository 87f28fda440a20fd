package mirror

import (
	"context"
	"errors"
	"strings"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/standing"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// The verbs of a Question.
const (
	VerbStatus   = "status"
	VerbHold     = "hold"
	VerbResume   = "resume"
	VerbWhy      = "why"
	VerbPlan     = "plan"
	VerbVerify   = "verify"
	VerbReleases = "releases"
	VerbWheels   = "wheels"
	VerbRetry    = "retry wheel"
	VerbSkip     = "skip wheel"
)

// Question is what starter asks of a mirror's storage.
type Question struct {
	Target  Target              `json:"target"`
	Regions []mirrorspec.Region `json:"regions,omitempty"`
	Verb    string              `json:"verb"`
	Cycle   string              `json:"cycle,omitempty"`  // status: the name of the cycle whose last run to tell of
	Path    string              `json:"path,omitempty"`   // why: relative to the tree
	Reason  string              `json:"reason,omitempty"` // hold, skip
	Plan    string              `json:"plan,omitempty"`   // plan: a held one's digest, or eight characters of it
	From    int64               `json:"from,omitempty"`   // plan: so many rows were answered before
	Rows    int                 `json:"rows,omitempty"`   // plan: at most
	Full    bool                `json:"full,omitempty"`   // verify
	Deep    bool                `json:"deep,omitempty"`   // verify

	Platform string    `json:"platform,omitempty"` // wheels, retry, skip; "" is all
	Pin      string    `json:"pin,omitempty"`      // retry, skip
	Failed   bool      `json:"failed,omitempty"`   // wheels, retry: only those that failed
	Class    string    `json:"class,omitempty"`    // retry: those whose failure is of that class
	Rebuild  bool      `json:"rebuild,omitempty"`  // retry: also a wheel that is built
	Until    time.Time `json:"until,omitzero"`     // skip; zero is for ever
}

// Answer has the part that the verb asks for.
type Answer struct {
	Status      *MirrorStatus       `json:"status,omitempty"`
	Why         *Why                `json:"why,omitempty"`
	Plan        *PlanView           `json:"plan,omitempty"` // nil if none is stored
	Verified    *Verified           `json:"verified,omitempty"`
	Generations []GenerationSummary `json:"generations,omitempty"`
	Wheels      []WheelState        `json:"wheels,omitempty"`
}

// MirrorStatus is where a mirror stands.
type MirrorStatus struct {
	Mirror    string            `json:"mirror"`
	Tree      string            `json:"tree"`
	Committed int64             `json:"committed"`
	Sealed    int64             `json:"sealed"`
	Time      time.Time         `json:"time,omitzero"` // of the commit
	Upstream  tree.Upstream     `json:"upstream"`
	Objects   int64             `json:"objects"`
	Bytes     int64             `json:"bytes"`
	Retained  int64             `json:"retained"` // dropped objects that the tree still has
	Hold      string            `json:"hold,omitempty"`
	Holder    string            `json:"holder,omitempty"` // of the newest lease
	FreeBytes int64             `json:"free_bytes"`
	Sites     []backend.Outcome `json:"sites,omitempty"` // what the volume's read-only sites hold, which is not always what a region's URL serves
	SitesFail string            `json:"sites_fail,omitempty"`
	Last      *LastRun          `json:"last,omitempty"` // what the last cycle left to a person
	// Of apt and pypi mirrors: what upstream lists and could not be had up to now,
	// what cannot be believed, and some of both with the reason.
	Missing int64  `json:"missing,omitempty"`
	Refused int64  `json:"refused,omitempty"`
	Lacks   []Lack `json:"lacks,omitempty"`
}

// Lack is a thing that upstream lists and the mirror has not, or has as it was.
type Lack struct {
	Project string `json:"project,omitempty"`
	Suite   string `json:"suite,omitempty"`
	File    string `json:"file,omitempty"` // "": all of it, or a part that has no name of its own
	Reason  string `json:"reason"`
	Refused bool   `json:"refused,omitempty"`
}

// LastRun is how the last cycle left a mirror that it could not bring level with its upstream.
type LastRun struct {
	Outcome string   `json:"outcome"` // held or failed
	Reasons []string `json:"reasons,omitempty"`
	Plan    string   `json:"plan,omitempty"` // digest of the plan that is held
	Error   string   `json:"error,omitempty"`
}

// GenerationSummary is one kept generation.
type GenerationSummary struct {
	Number   int64         `json:"number"`
	Time     time.Time     `json:"time"`
	Sealed   bool          `json:"sealed"`
	Objects  int64         `json:"objects"`
	Changes  tree.Changes  `json:"changes"`
	Upstream tree.Upstream `json:"upstream"`
}

// Answer answers a question about the mirror, or carries out a command to it. The mirror is open to read.
func (m *Mirror) Answer(ctx context.Context, q Question) (out Answer, err error) {
	switch q.Verb {
	case VerbStatus:
		out.Status, err = m.status(ctx, q)
	case VerbHold:
		if err = hold(m.t, q.Reason); err == nil {
			out.Status, err = status(m.t)
		}
	case VerbResume:
		err = tree.WriteHold(m.t.State(), "")
	case VerbWhy:
		if out.Why, err = why(m.t, q.Path); err == nil {
			err = out.Why.lacking(m.t, q)
		}
	case VerbPlan:
		out.Plan, err = m.planView(q)
	case VerbReleases:
		out.Generations, err = generations(m.t)
	case VerbVerify:
		out.Verified, err = m.doubt(ctx, q)
	case VerbWheels:
		out.Wheels, err = wheelStates(q)
	case VerbRetry, VerbSkip:
		out.Wheels, err = setWheel(q)
	default:
		err = &fault.Error{Kind: fault.Config, Op: "mirror: answer", Subject: q.Verb, Err: errors.New("no such question"), Advice: "use a starter of the worker's version"}
	}
	return out, err
}

// status is where the mirror stands, with how the last cycle left it and what its sites hold.
func (m *Mirror) status(ctx context.Context, q Question) (*MirrorStatus, error) {
	s, err := status(m.t)
	if err != nil {
		return s, err
	}
	if err := errors.Join(s.recall(q), s.lacking(m.t, q)); err != nil {
		return s, err
	}
	if m.AFS != nil {
		s.look(ctx, m, q)
	}
	return s, nil
}

// hold wants a reason: without one it would resume.
func hold(t *tree.Tree, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return &fault.Error{Kind: fault.Config, Op: "mirror: hold", Subject: t.ID().Mirror, Err: errors.New("there is no reason"), Advice: "say why: those who see it ask"}
	}
	return tree.WriteHold(t.State(), reason)
}

// recall reads how the last cycle left the mirror. What was committed since says
// more: a held plan that was approved, a rollback.
func (s *MirrorStatus) recall(q Question) error {
	if q.Cycle == "" {
		return nil
	}
	r, err := standing.Read(q.Target.Storage.State, q.Cycle)
	if err != nil {
		return err
	}
	for _, m := range r.Status.Mirrors {
		if m.Name == s.Mirror && m.Committed == s.Committed && (m.Outcome == "held" || m.Outcome == "failed") {
			s.Last = &LastRun{Outcome: m.Outcome, Reasons: m.Reasons, Plan: m.Plan, Error: m.Error}
		}
	}
	return nil
}

func status(t *tree.Tree) (*MirrorStatus, error) {
	s := &MirrorStatus{Mirror: t.ID().Mirror, Tree: t.ID().Tree}
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	if g != nil {
		s.Committed, s.Time, s.Upstream = g.Number, g.Time, g.Upstream
		s.Objects, s.Bytes = g.Totals.Objects, g.Totals.ObjectBytes
	}
	sealed, err := t.Sealed()
	if err != nil {
		return nil, err
	}
	if sealed != nil {
		s.Sealed = sealed.Number
	}
	retained, err := t.Retained()
	if err != nil {
		return nil, err
	}
	s.Retained = int64(len(retained))
	if s.Hold, err = t.Hold(); err != nil {
		return nil, err
	}
	if s.Holder, err = t.Holder(); err != nil {
		return nil, err
	}
	s.FreeBytes, err = t.Free()
	return s, err
}

// look asks the file servers of an AFS volume's sites what they hold.
func (s *MirrorStatus) look(ctx context.Context, m *Mirror, q Question) {
	sites := release.Sites(m.Volume(q.Regions, m.t.ID().Tree))
	var err error
	if s.Sites, err = sites.Serving(ctx); err != nil {
		s.SitesFail = err.Error()
	}
	if room, err := sites.Room(ctx); err == nil {
		s.FreeBytes = room
	}
}

func generations(t *tree.Tree) ([]GenerationSummary, error) {
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	var out []GenerationSummary
	for _, n := range all {
		g, err := t.Generation(n)
		if err != nil {
			return nil, err
		}
		out = append(out, GenerationSummary{Number: n, Time: g.Time, Sealed: t.IsSealed(n), Objects: g.Totals.Objects, Changes: g.Changes, Upstream: g.Upstream})
	}
	return out, nil
}
