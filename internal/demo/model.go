package demo

import (
	"fmt"
	"math/rand/v2"

	"mirrorcycle/internal/simpleindex"
)

// model is what the upstream has, without a byte of it. It depends on the seed
// and the number of steps only.
type model struct {
	step     int
	serial   int64
	random   *rand.Rand
	stable   map[string]int // suite demo: package to version
	updates  map[string]int // suite demo-updates
	projects []*project
	said     string
}

type project struct {
	name     string // for display
	requires string // Requires-Python
	sdist    bool
	status   simpleindex.Status
	reason   string
	serial   int64
	versions []release // oldest first
}

type release struct {
	number int
	step   int // when it was published
	yanked string
}

// What there is at the start, and how much of it there may be.
const (
	firstSerial = 1000
	maxVersions = 3 // of a project
)

func newModel(seed uint64) *model {
	m := &model{random: rand.New(rand.NewPCG(seed, 1)), serial: firstSerial, stable: map[string]int{}, updates: map[string]int{},
		said: "the first publication"}
	for i, p := range debs {
		m.stable[p.name] = 0
		if i%2 == 0 {
			m.updates[p.name] = 1
		}
	}
	for _, p := range projects {
		m.serial++
		p.serial, p.status = m.serial, simpleindex.Active
		p.versions = []release{{number: 0}, {number: 1}}
		m.projects = append(m.projects, &p)
	}
	m.projects[1].versions[0].yanked = "counts leap years wrongly"
	m.projects[2].status = simpleindex.Archived
	return m
}

// advance makes the next change: in turn of the archive and of the index.
func (m *model) advance() {
	m.step++
	if m.step%2 == 1 {
		m.advanceDebian()
	} else {
		m.advancePyPI()
	}
}

// advanceDebian puts a new version into demo-updates, in place of the older one
// there; every sixth time a version moves on to demo instead.
func (m *model) advanceDebian() {
	var updated []string
	for _, p := range debs {
		if m.updates[p.name] > 0 {
			updated = append(updated, p.name)
		}
	}
	if m.step%12 == 11 {
		name := updated[m.random.IntN(len(updated))]
		m.said = fmt.Sprintf("apt: %s %s moves to demo, %s is dropped", name, debVersion(m.updates[name]), debVersion(m.stable[name]))
		m.stable[name] = m.updates[name]
		delete(m.updates, name)
		return
	}
	name := debs[m.random.IntN(len(debs))].name
	old := m.updates[name]
	m.updates[name] = max(old, m.stable[name]) + 1
	m.said = fmt.Sprintf("apt: %s %s appears in demo-updates", name, debVersion(m.updates[name]))
	if old > 0 {
		m.said += ", " + debVersion(old) + " is dropped"
	}
}

// advancePyPI adds a version of a project and drops its oldest one beyond
// maxVersions, sometimes yanks one, or quarantines a project until its next turn.
func (m *model) advancePyPI() {
	turn := m.step / 2
	p := m.projects[m.random.IntN(len(m.projects))]
	m.said = "pypi: "
	for _, q := range m.projects {
		if q.status == simpleindex.Quarantined {
			q.status, q.reason = simpleindex.Active, ""
			m.touch(q)
			m.said += q.name + " is out of quarantine; "
		}
	}
	newest := p.versions[len(p.versions)-1]
	p.versions = append(p.versions, release{number: newest.number + 1, step: m.step})
	m.said += fmt.Sprintf("%s %s appears", p.name, wheelVersion(newest.number+1))
	if p.status == simpleindex.Archived {
		p.status = simpleindex.Active
	}
	if len(p.versions) > maxVersions {
		m.said += ", " + wheelVersion(p.versions[0].number) + " is dropped"
		p.versions = p.versions[1:]
	}
	if turn%3 == 0 {
		p.versions[len(p.versions)-2].yanked = "superseded in a hurry"
		m.said += ", " + wheelVersion(newest.number) + " is yanked"
	}
	m.touch(p)
	if turn%5 == 0 {
		q := m.projects[m.random.IntN(len(m.projects))]
		q.status, q.reason = simpleindex.Quarantined, "under review"
		m.touch(q)
		m.said += "; " + q.name + " is quarantined"
	}
}

func (m *model) touch(p *project) {
	m.serial++
	p.serial = m.serial
}

func debVersion(n int) string { return fmt.Sprintf("1.%d-1", n) }

func wheelVersion(n int) string { return fmt.Sprintf("1.%d", n) }
