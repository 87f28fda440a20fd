package requirements

import (
	"fmt"
	"slices"
	"strings"

	"mirrorcycle/internal/simpleindex"
)

// Specifiers are the clauses that a version must satisfy, all of them (PEP 440).
// The zero value admits every version.
type Specifiers struct{ clauses []clause }

type clause struct {
	op      string
	text    string // the version as written
	version simpleindex.Version
	prefix  bool // ends in ".*"
}

// operators are in the order in which they must be looked for.
var operators = []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

// ParseSpecifiers reads clauses with commas between, such as ">=1.2,!=1.4.*".
func ParseSpecifiers(text string) (Specifiers, error) {
	var s Specifiers
	if text = strings.TrimSuffix(trim(text), ","); text == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = trim(part)
		c, err := parseClause(part)
		if err != nil {
			return Specifiers{}, err
		}
		s.clauses = append(s.clauses, c)
	}
	return s, nil
}

func parseClause(text string) (clause, error) {
	wrong := func(why string) (clause, error) { return clause{}, fmt.Errorf("specifier: %s", why) }
	var c clause
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(text, op); ok {
			c.op, c.text = op, trim(rest)
			break
		}
	}
	if c.op == "" {
		return wrong("no operator of PEP 440")
	}
	if c.op == "===" {
		if strings.ContainsFunc(c.text, func(r rune) bool { return isSpace(r) || r == ';' || r == ')' }) {
			return wrong("a blank, ';' or ')' in the version")
		}
		return c, nil
	}
	version, prefix := strings.CutSuffix(c.text, ".*")
	var ok bool
	if c.version, ok = simpleindex.ParseVersion(version); !ok || strings.ContainsFunc(version, isSpace) {
		return wrong("no version of PEP 440")
	}
	c.prefix = prefix
	equality := c.op == "==" || c.op == "!="
	_, hasSeries := c.version.Series()
	switch {
	case prefix && (!equality || c.version.IsPrerelease() || c.version.IsPostrelease() || c.version.HasLocal()):
		return wrong("'.*' stands behind a plain release, after == or != only")
	case c.version.HasLocal() && !equality:
		return wrong("a local version after == or != only")
	case c.op == "~=" && !hasSeries:
		return wrong("~= needs two numbers at least")
	}
	return c, nil
}

// Contains reports whether version satisfies every clause; pre-releases are
// judged like others. What is no version of PEP 440 satisfies "===" only.
func (s Specifiers) Contains(version string) bool {
	v, ok := simpleindex.ParseVersion(version)
	for _, c := range s.clauses {
		if c.op == "===" {
			if !strings.EqualFold(trim(version), c.text) {
				return false
			}
		} else if !ok || !c.admits(v) {
			return false
		}
	}
	return ok || len(s.clauses) > 0
}

func (c clause) admits(v simpleindex.Version) bool {
	switch c.op {
	case "==":
		return c.equals(v)
	case "!=":
		return !c.equals(v)
	case "~=":
		series, _ := c.version.Series()
		return v.Public().Compare(c.version) >= 0 && v.Within(series)
	case "<=":
		return v.Public().Compare(c.version) <= 0
	case ">=":
		return v.Public().Compare(c.version) >= 0
	case "<":
		if !c.version.IsPrerelease() { // what leads up to the bound is not below it
			return v.Compare(c.version.Earliest()) < 0
		}
		return v.Compare(c.version) < 0
	default: // ">": post-releases and local versions of the bound are not above it
		if !c.version.IsPostrelease() && v.Unposted().Compare(c.version) == 0 {
			return false
		}
		return v.Public().Compare(c.version) > 0
	}
}

func (c clause) equals(v simpleindex.Version) bool {
	if c.prefix {
		return v.Within(c.version)
	}
	if !c.version.HasLocal() {
		v = v.Public()
	}
	return v.Compare(c.version) == 0
}

// Pinned returns the version that an "===" or "==" without ".*" asks for.
func (s Specifiers) Pinned() (version string, ok bool) {
	for _, c := range s.clauses {
		if (c.op == "===" || c.op == "==") && !c.prefix && c.text != "" {
			return c.text, true
		}
	}
	return "", false
}

// Newest returns the newest of versions that satisfies s. Pre-releases count
// if a clause names one, or if nothing else satisfies (PEP 440).
func (s Specifiers) Newest(versions []string) (newest string, ok bool) {
	pre := s.namesPrerelease()
	older := func(a, b string) bool {
		if !pre {
			if x, y := simpleindex.IsPrerelease(a), simpleindex.IsPrerelease(b); x != y {
				return x
			}
		}
		if n := simpleindex.CompareVersions(a, b); n != 0 {
			return n < 0
		}
		return a < b // two spellings: the same answer in whatever order they come
	}
	for _, v := range versions {
		if s.Contains(v) && (!ok || older(newest, v)) {
			newest, ok = v, true
		}
	}
	return newest, ok
}

func (s Specifiers) namesPrerelease() bool {
	return slices.ContainsFunc(s.clauses, func(c clause) bool {
		return c.op != "!=" && !c.prefix && simpleindex.IsPrerelease(c.text)
	})
}

// String joins the clauses as they were written, without blanks.
func (s Specifiers) String() string {
	var parts []string
	for _, c := range s.clauses {
		parts = append(parts, c.op+c.text)
	}
	return strings.Join(parts, ",")
}

func isSpace(r rune) bool {
	return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == '\f' || r == '\v'
}

func trim(s string) string { return strings.TrimFunc(s, isSpace) }
