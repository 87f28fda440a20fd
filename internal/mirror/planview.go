package mirror

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// PlanView is what a stored plan does to a mirror. Counts are of the whole plan;
// Units and Rows are bounded, since they cross Temporal.
type PlanView struct {
	Mirror   string    `json:"mirror"`
	Digest   string    `json:"digest"`
	Approval string    `json:"approval,omitempty"` // held: by which it is approved, whole or eight characters of it
	Held     bool      `json:"held"`
	Reasons  []string  `json:"reasons,omitempty"` // why held
	Made     time.Time `json:"made"`
	Base     int64     `json:"base"` // the generation planned from

	BaseObjects  int64 `json:"base_objects"`
	Adds         int64 `json:"adds"` // objects that the next generation names in addition
	Drops        int64 `json:"drops"`
	DropBytes    int64 `json:"drop_bytes"`
	Fetches      int64 `json:"fetches"` // files to have, indexes under their digests among them
	FetchBytes   int64 `json:"fetch_bytes"`
	IndexChanges int64 `json:"index_changes"`

	Units     []PlanUnit `json:"units,omitempty"` // those that lose most first
	MoreUnits int        `json:"more_units,omitempty"`
	Rows      []PlanRow  `json:"rows,omitempty"` // what is dropped, then what is fetched
	MoreRows  int64      `json:"more_rows,omitempty"`
}

// PlanUnit is what a plan does to a suite, a repository or a project. Dropped
// packages of apt are counted by the component of the pool: suites share it.
type PlanUnit struct {
	Unit       string `json:"unit"`
	Drops      int64  `json:"drops"`
	DropBytes  int64  `json:"drop_bytes"`
	Fetches    int64  `json:"fetches"`
	FetchBytes int64  `json:"fetch_bytes"`
}

// PlanRow is one file of a plan.
type PlanRow struct {
	Change string `json:"change"` // drop or fetch
	Unit   string `json:"unit"`
	Path   string `json:"path"`
	Size   int64  `json:"size"` // bytes, -1 if it is not known
}

// maxUnits and maxRows bound one answer; more rows come with the next question.
const maxUnits, maxRows = 200, 4000

// shortest is how many characters of a digest name a plan.
const shortest = 8

// planView answers with the held plan that q names, or with the newest one
// that waits. It is nil if nothing is stored and none was named.
func (m *Mirror) planView(q Question) (*PlanView, error) {
	p, err := m.storedPlan(q.Plan)
	if err != nil || p == nil {
		return nil, err
	}
	i := p.Info
	v := &PlanView{Mirror: m.Mirror.Name, Digest: p.Digest, Reasons: Guard(m.Mirror.Guard, i), Made: p.Made.UTC(), Base: i.Base, BaseObjects: i.BaseObjects,
		Adds: i.Adds, Drops: i.Drops, Fetches: i.Objects, FetchBytes: i.Bytes, IndexChanges: i.IndexChanges}
	if v.Held = len(v.Reasons) > 0; v.Held {
		v.Approval = p.Approval()
	}
	s := &planSums{view: v, kind: m.Mirror.Kind, units: map[string]*PlanUnit{}, skip: q.From, rows: min(q.Rows, maxRows)}
	if err := errors.Join(s.drops(m.t, p.Plan), s.fetches(p.Plan)); err != nil {
		return nil, err
	}
	s.finish()
	return v, nil
}

// storedPlan finds the plan of a digest among those that are held, or without
// one the newest that a person is asked about, else the newest that waits.
func (m *Mirror) storedPlan(digest string) (*tree.Stored, error) {
	all, err := m.awaited()
	if err != nil {
		return nil, err
	}
	held := slices.DeleteFunc(slices.Clone(all), func(s tree.Stored) bool { return len(Guard(m.Mirror.Guard, s.Info)) == 0 })
	if digest == "" {
		if all = append(held, all...); len(all) == 0 {
			return nil, nil
		}
		return &all[0], nil
	}
	refuse := func(err error, advice string) (*tree.Stored, error) {
		return nil, &fault.Error{Kind: fault.Config, Op: "mirror: find held plan", Subject: digest, Err: err, Advice: advice}
	}
	if len(digest) < shortest {
		return refuse(fmt.Errorf("it has %d characters", len(digest)), fmt.Sprintf("give %d characters of the digest at least", shortest))
	}
	named := slices.DeleteFunc(slices.Clone(held), func(s tree.Stored) bool { return !s.Means(strings.ToLower(digest)) })
	switch {
	case len(named) > 0 && slices.ContainsFunc(named, func(s tree.Stored) bool { return s.Approval() != named[0].Approval() }):
		return refuse(errors.New("more than one held plan begins so"), "give more characters of the digest")
	case len(named) > 0:
		return &named[0], nil
	case len(held) > 0:
		return refuse(errors.New("no plan of that digest is held"), fmt.Sprintf("what is held is %.8s: look at it with starter plan %s", held[0].Approval(), m.Mirror.Name))
	}
	return refuse(errors.New("no plan of the mirror is held"), "nothing is to be approved: the next cycle plans anew")
}

// awaited lists the plans that may still become a generation, the newest first:
// those made from the committed one, and those that a person was asked about.
func (m *Mirror) awaited() ([]tree.Stored, error) {
	all, err := m.t.Plans()
	if err != nil {
		return nil, err
	}
	g, err := m.t.Committed()
	if err != nil {
		return nil, err
	}
	var base int64
	if g != nil {
		base = g.Number
	}
	data, err := m.t.Memo(heldMemo)
	if err != nil {
		return nil, err
	}
	var held []string
	_ = json.Unmarshal(data, &held) // it may be lost: the next cycle writes it anew
	return slices.DeleteFunc(all, func(s tree.Stored) bool {
		return s.Info.Base != base && !slices.Contains(held, s.Digest) || g != nil && g.Plan == s.Digest
	}), nil
}

// planSums counts the files of a plan by unit, and takes the rows that are asked for.
type planSums struct {
	view  *PlanView
	kind  mirrorspec.Kind
	units map[string]*PlanUnit
	skip  int64
	rows  int
}

func (s *planSums) drops(t *tree.Tree, p *tree.Plan) error {
	var base *manifest.Manifest
	g, err := t.Generation(p.Info.Base)
	if p.Info.Base > 0 && err == nil {
		base, err = t.ManifestOf(g)
	}
	if err != nil {
		base = nil // it has expired: names are told without sizes
	}
	for name, err := range p.Drops() {
		if err != nil {
			return err
		}
		size := int64(-1)
		if base != nil {
			e, ok, err := base.Lookup(name)
			if err != nil {
				return err
			}
			if ok {
				size = e.Size
			}
		}
		u := s.row("drop", unitOf(s.kind, name), name, size)
		u.Drops++
		u.DropBytes += max(size, 0)
		s.view.DropBytes += max(size, 0)
	}
	return nil
}

func (s *planSums) fetches(p *tree.Plan) error {
	for shard := range p.Info.Shards {
		for it, err := range p.Items(shard) {
			if err != nil {
				return err
			}
			u := s.row("fetch", cmp.Or(it.Unit, unitOf(s.kind, it.Path)), it.Path, it.Size)
			u.Fetches++
			u.FetchBytes += max(it.Size, 0)
		}
	}
	return nil
}

func (s *planSums) row(change, unit, name string, size int64) *PlanUnit {
	switch {
	case s.skip > 0:
		s.skip--
	case len(s.view.Rows) < s.rows:
		s.view.Rows = append(s.view.Rows, PlanRow{change, unit, name, size})
	default:
		s.view.MoreRows++
	}
	u := s.units[unit]
	if u == nil {
		u = &PlanUnit{Unit: unit}
		s.units[unit] = u
	}
	return u
}

func (s *planSums) finish() {
	for _, u := range s.units {
		s.view.Units = append(s.view.Units, *u)
	}
	slices.SortFunc(s.view.Units, func(a, b PlanUnit) int {
		return cmp.Or(cmp.Compare(b.Drops, a.Drops), cmp.Compare(b.Fetches, a.Fetches), cmp.Compare(a.Unit, b.Unit))
	})
	if n := len(s.view.Units); n > maxUnits {
		s.view.Units, s.view.MoreUnits = s.view.Units[:maxUnits], n-maxUnits
	}
}

// unitOf is the suite, component, repository or project that a path belongs to.
func unitOf(kind mirrorspec.Kind, name string) string {
	dir, file := path.Split(name)
	switch parts := strings.SplitN(name, "/", 3); {
	case kind == mirrorspec.PyPI || kind == mirrorspec.Wheels:
		project, _, wheel := strings.Cut(file, "-")
		if !wheel || !strings.HasSuffix(file, ".whl") {
			project = file[:max(strings.LastIndex(file, "-"), 0)]
		}
		return simpleindex.Normalize(project)
	case kind == mirrorspec.Yum:
		repo, _, _ := strings.Cut(name, "/Packages/")
		if repo != name {
			return repo
		}
	case len(parts) == 3: // dists/SUITE or pool/COMPONENT
		return parts[0] + "/" + parts[1]
	}
	return cmp.Or(strings.TrimSuffix(dir, "/"), ".")
}
