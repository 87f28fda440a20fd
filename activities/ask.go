package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/standing"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// The verbs of a Question.
const (
	VerbStatus   = "status"
	VerbHold     = "hold"
	VerbResume   = "resume"
	VerbWhy      = "why"
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
	Verified    *Verified           `json:"verified,omitempty"`
	Generations []GenerationSummary `json:"generations,omitempty"`
	Wheels      []WheelState        `json:"wheels,omitempty"`
}

// MirrorStatus is where a mirror stands.
type MirrorStatus struct {
	Mirror    string        `json:"mirror"`
	Tree      string        `json:"tree"`
	Committed int64         `json:"committed"`
	Sealed    int64         `json:"sealed"`
	Time      time.Time     `json:"time,omitzero"` // of the commit
	Upstream  tree.Upstream `json:"upstream"`
	Objects   int64         `json:"objects"`
	Bytes     int64         `json:"bytes"`
	Retained  int64         `json:"retained"` // dropped objects that the tree still has
	Hold      string        `json:"hold,omitempty"`
	Holder    string        `json:"holder,omitempty"` // of the newest lease
	FreeBytes int64         `json:"free_bytes"`
	Sites     []Outcome     `json:"sites,omitempty"` // what the volume's read-only sites hold, which is not always what a region's URL serves
	SitesFail string        `json:"sites_fail,omitempty"`
	Last      *LastRun      `json:"last,omitempty"` // what the last cycle left to a person
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

// Why explains one path of a mirror.
type Why struct {
	Path      string `json:"path"`
	Named     bool   `json:"named"`          // by the newest generation
	Kind      string `json:"kind,omitempty"` // object or index
	Size      int64  `json:"size,omitempty"` // bytes
	SHA256    string `json:"sha256,omitempty"`
	InTree    bool   `json:"in_tree"`
	DroppedBy int64  `json:"dropped_by,omitempty"` // generation that let go of it, if it is retained
	Since     int64  `json:"since,omitempty"`      // oldest kept generation that names it as it is
	Lacks     string `json:"lacks,omitempty"`      // why a file that upstream lists is not on its page, or is what it was
}

// Answer answers a question about, or carries out a command to, a mirror.
func (s *Sync) Answer(ctx context.Context, q Question) (Answer, error) {
	ctx, beat, stop := alive(ctx)
	defer stop()
	t, err := tree.Read(s.config(ctx, q.Target))
	if err != nil {
		return Answer{}, translate(err)
	}
	defer t.Close()
	var out Answer
	switch q.Verb {
	case VerbStatus:
		if out.Status, err = status(t); err == nil {
			err = out.Status.recall(q)
		}
		if err == nil {
			err = out.Status.lacking(t, q)
		}
		if err == nil && q.Target.AFS != nil {
			out.Status.look(ctx, t, q)
		}
	case VerbHold:
		if err = hold(t, q.Reason); err == nil {
			out.Status, err = status(t)
		}
	case VerbResume:
		err = tree.WriteHold(t.State(), "")
	case VerbWhy:
		if out.Why, err = why(t, q.Path); err == nil {
			err = out.Why.lacking(t, q)
		}
	case VerbReleases:
		out.Generations, err = generations(t)
	case VerbVerify:
		out.Verified, err = s.doubt(ctx, t, q, beat)
	case VerbWheels:
		out.Wheels, err = wheelStates(q)
	case VerbRetry, VerbSkip:
		out.Wheels, err = setWheel(q)
	default:
		err = &fault.Error{Kind: fault.Config, Op: "activities: answer", Subject: q.Verb, Err: errors.New("no such question"), Advice: "use a starter of the worker's version"}
	}
	return out, translate(err)
}

// hold wants a reason: without one it would resume.
func hold(t *tree.Tree, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return &fault.Error{Kind: fault.Config, Op: "activities: hold", Subject: t.ID().Mirror, Err: errors.New("there is no reason"), Advice: "say why: those who see it ask"}
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
func (s *MirrorStatus) look(ctx context.Context, t *tree.Tree, q Question) {
	sites := release.Sites(volume(q.Target, q.Regions, t.ID().Tree))
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

func why(t *tree.Tree, path string) (*Why, error) {
	w := &Why{Path: path}
	size, there, err := t.Stat(path)
	if err != nil {
		return nil, err
	}
	w.InTree, w.Size = there, size
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	m, err := t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	e, named, err := m.Lookup(path)
	if err != nil {
		return nil, err
	}
	if !named {
		drops, err := t.Drops()
		if err != nil {
			return nil, err
		}
		for _, n := range drops {
			for d, err := range t.DropsOf(n) {
				if err != nil {
					return nil, err
				}
				if d.Path == path {
					w.DroppedBy, w.SHA256, w.Kind = n, d.Digest.String(), "object"
				}
			}
		}
		return w, nil
	}
	w.Named, w.Size, w.SHA256, w.Kind = true, e.Size, e.Digest.String(), "object"
	if e.Kind.IsIndex() {
		w.Kind = "index"
	}
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		old, err := t.Generation(n)
		if err != nil {
			return nil, err
		}
		om, err := t.ManifestOf(old)
		if err != nil {
			return nil, err
		}
		if oe, ok, err := om.Lookup(path); err != nil {
			return nil, err
		} else if ok && oe == e {
			w.Since = n
			break
		}
	}
	return w, nil
}

func (s *Sync) doubt(ctx context.Context, t *tree.Tree, q Question, beat *pulse) (*Verified, error) {
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, &fault.Error{Kind: fault.Gone, Op: "verify: tree", Subject: t.Dir(), Err: fmt.Errorf("it has no generation yet"), Advice: "run the mirror first"}
	}
	foreign, done, err := foreigns(q.Target)
	if err != nil {
		return nil, err
	}
	defer done()
	report, err := verify.Tree(ctx, t, g, verify.Options{Kind: kinds[q.Target.Mirror.Kind], Keyring: q.Target.Mirror.Keyring, Proof: q.Target.Mirror.Proof, Foreign: foreign,
		Full: q.Full || q.Deep, Deep: q.Deep, Progress: beat.progress})
	return &Verified{Number: g.Number, Indexes: report.Indexes, Objects: report.Objects, Hashed: report.Hashed,
		Problems: report.Problems, Sealed: t.IsSealed(g.Number)}, err
}
