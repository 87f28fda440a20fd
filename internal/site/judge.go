package site

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Judge fills in what is wrong, what to do about it, and until when the
// region's /healthz says 200 if nobody writes again: staleAfter past the moment
// when a probe last saw each of its mirrors' newest generation. Carry comes first.
func (s *Status) Judge(now time.Time, staleAfter time.Duration) {
	s.Version, s.Written, s.Problems, s.Level = Version, now, nil, OK
	s.HealthyUntil = now.Add(staleAfter)
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		s.Problems = append(s.Problems, m.problems()...)
		known := false
		for j := range m.Regions {
			if p, ok := m.Regions[j].problem(m, now); ok {
				s.Problems = append(s.Problems, p)
				known = known || p.Region == s.Region
			}
		}
		if r := m.In(s.Region); r != nil && m.Generation > 0 {
			until := r.LevelAt.Add(staleAfter)
			if until.Before(s.HealthyUntil) {
				s.HealthyUntil = until
			}
			if !known && !until.After(now) {
				s.Problems = append(s.Problems, Problem{Level: Wrong, Mirror: m.Name, Region: r.Region, What: "was not looked at for too long",
					Do: "Look at the mirror's runs in Temporal's Web UI: one that does not end keeps the others away."})
			}
		}
	}
	slices.SortStableFunc(s.Problems, func(a, b Problem) int { return cmp.Compare(rank[b.Level], rank[a.Level]) })
	if len(s.Problems) > 0 {
		s.Level = s.Problems[0].Level
	}
}

var rank = map[Level]int{OK: 0, Attention: 1, Wrong: 2}

// advice says what helps against each kind of fault; docs/operations.md has the same.
var advice = map[string]string{
	"unavailable":   "A network or server did not answer. It is tried again with every cycle.",
	"gone":          "Upstream says that it does not exist: check suites, components and projects in the spec.",
	"denied":        "Upstream refused: check netrc and client certificate.",
	"unproved":      "A signature, digest or size is wrong, and nothing was published: check keyring and proxies.",
	"stale":         "It is older than what was mirrored before: check the upstream mirror; restore the newer tree if an older copy was restored.",
	"malformed":     "It is not what it claims to be: tell upstream.",
	"hostile":       "It tries to leave the tree or to fill the machine: tell upstream.",
	"conflict":      "A file has other bytes under its old name: ask upstream.",
	"wrong-storage": "A directory lacks its identity: mount the right disk.",
	"no-space":      "A disk or quota is full: free space. Nothing was begun.",
	"fenced":        "A newer run took over. Nothing is to be done.",
	"corrupt":       "Files do not match their digests: put them back from upstream or another region.",
	"early":         "Another mirror's release has to come first. Nothing is to be done unless that one fails.",
	"config":        "Something in the spec or on a machine has to be mended.",
}

func adviceFor(kind string) string {
	if a, ok := advice[kind]; ok {
		return a
	}
	return "Look at the run in Temporal's Web UI."
}

// shortest is how many characters of a digest name a held plan.
const shortest = 8

// Approve is the command that approves a held plan of a mirror by its digest.
func Approve(mirror, digest string) string {
	return "starter approve " + mirror + " " + digest[:min(len(digest), shortest)]
}

// problems are those of the mirror itself, its regions' come apart.
func (m *Mirror) problems() []Problem {
	var out []Problem
	add := func(p Problem) {
		p.Mirror = m.Name
		out = append(out, p)
	}
	switch m.Outcome {
	case "held":
		run := Approve(m.Name, m.Plan)
		add(Problem{Level: Attention, What: "waits for your approval", Detail: strings.Join(m.Reasons, "; "), Run: run,
			Do: "Upstream removes more than the guard allows. Look at it with starter plan " + m.Name + ", then approve it; or wait: the next cycle plans anew."})
	case "partial":
		add(Problem{Level: Attention, What: "took over only a part", Detail: notes(m.Deferred), Do: "What is left stayed as it was and is tried again with every cycle."})
	case "late":
		add(Problem{Level: Attention, What: "has not finished yet", Do: "It goes on. Look at it in Temporal's Web UI if it stays late."})
	case "failed":
		add(Problem{Level: Wrong, What: "failed", Detail: m.Error, Do: adviceFor(m.FaultKind)})
	}
	if m.Hold != "" || m.Outcome == "on-hold" {
		add(Problem{Level: Attention, What: "is on hold", Detail: cmp.Or(m.Hold, strings.Join(m.Reasons, "; ")), Run: "starter resume " + m.Name,
			Do: "Nothing new is taken over until somebody resumes it."})
	}
	if m.Error != "" && m.Outcome != "failed" && m.Outcome != "on-hold" {
		add(Problem{Level: Wrong, What: "could not be looked at", Detail: m.Error, Do: adviceFor(m.FaultKind)})
	}
	if m.Committed > m.Generation && m.Outcome != "failed" {
		add(Problem{Level: Wrong, What: fmt.Sprintf("generation %d is not verified", m.Committed), Run: "starter verify " + m.Name,
			Do: "Regions keep the one before. Verify says what is wrong with it."})
	}
	if m.Tended != "" {
		add(Problem{Level: Wrong, What: "has damaged files or cannot delete", Detail: m.Tended, Run: "starter verify " + m.Name + " --deep", Do: adviceFor("corrupt")})
	}
	return out
}

func notes(all []Note) string {
	const shown = 3
	var parts []string
	for i, n := range all {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-shown))
			break
		}
		parts = append(parts, n.Unit+": "+n.Error)
	}
	return strings.Join(parts, "; ")
}

func (r *Served) problem(m *Mirror, now time.Time) (Problem, bool) {
	p := Problem{Level: Wrong, Mirror: m.Name, Region: r.Region, Detail: r.Error, Do: adviceFor(r.FaultKind)}
	switch {
	case r.FaultKind == "early":
		p.Level, p.What = Attention, "waits for another mirror"
	case r.Error != "" && r.SeenAt.IsZero():
		p.What = "is not served"
	case r.Error != "" && !r.SeenAt.Equal(now):
		p.What = "did not answer"
	case r.Error != "" && r.Serves < m.Generation:
		p.What = fmt.Sprintf("is behind: generation %d, not %d", r.Serves, m.Generation)
	case r.Error != "":
		p.What = "had an error"
	case r.Serves == 0 || m.Generation == 0:
		return p, false // nothing is promised yet
	case r.Serves < m.Generation:
		p.Level, p.What = Attention, fmt.Sprintf("is behind: generation %d, not %d", r.Serves, m.Generation)
		p.Do = "The release goes on, or is tried again with the next cycle."
	default:
		return p, false
	}
	return p, true
}
