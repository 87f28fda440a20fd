package mirrorspec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader collects the faults of one spec and remembers where everything stands,
// so that checks across tables can point at the value they mean.
type reader struct {
	file   string
	faults Faults
	places map[string]place
	broken map[string]bool // paths that have a fault already: one is enough
}

// maxFaults is far above what anybody reads of one spec.
const maxFaults = 1000

// fault records a fault at a path such as "mirror[2].grace", or at the nearest
// enclosing table that stands in the file.
func (r *reader) fault(path, problem, advice string) {
	if r.broken[path] || len(r.faults) > maxFaults {
		return
	}
	r.broken[path] = true
	at, ok := r.places[path]
	for up := path; !ok && up != ""; at, ok = r.places[up] {
		up = up[:max(strings.LastIndexAny(up, ".["), 0)]
	}
	if !ok {
		at = place{1, 1}
	}
	r.faults = append(r.faults, Fault{
		File: r.file, Line: at.line, Column: at.column,
		Key: withoutIndexes(path), Problem: problem, Advice: advice,
	})
}

// withoutIndexes turns "mirror[2].suites[0]" into "mirror.suites".
func withoutIndexes(path string) string {
	var b strings.Builder
	for path != "" {
		before, after, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			break
		}
		_, path, _ = strings.Cut(after, "]")
	}
	return b.String()
}

// section reads one table. Every key that is asked for is known; done reports
// the others, so that no list of keys can disagree with the code.
type section struct {
	r     *reader
	path  string // "" for the whole file
	table *table // nil if it is missing
	known []string
}

func (r *reader) section(path string, t *table) *section {
	if t != nil {
		r.places[path] = t.place
	}
	return &section{r: r, path: path, table: t}
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// quoteKey renders a key that TOML would have to quote on one line.
func quoteKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return strconv.Quote(key)
}

// at is the path of a key of this section.
func (s *section) at(key string) string {
	key = quoteKey(key)
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

func (s *section) fault(key, problem, advice string) { s.r.fault(s.at(key), problem, advice) }

// has tells whether the key is given, whatever its value.
func (s *section) has(key string) bool {
	if s.table == nil {
		return false
	}
	_, ok := s.table.entries[key]
	return ok
}

// get returns the value of a key if it is given and of that kind.
func (s *section) get(key string, kind valueKind, write string) (*value, bool) {
	s.known = append(s.known, key)
	if !s.has(key) {
		return nil, false
	}
	v := s.table.entries[key].value
	s.r.places[s.at(key)] = v.place
	if v.kind != kind {
		s.fault(key, fmt.Sprintf("is %s, not %s", v.kind, kind), "write "+write)
		return nil, false
	}
	return v, true
}

// require reports a key that is missing.
func (s *section) require(key, write string) {
	if !s.has(key) {
		s.fault(key, "is missing", "write "+write)
	}
}

// str reads an optional string; an empty one is a fault.
func (s *section) str(key, example string) string {
	v, ok := s.get(key, isString, fmt.Sprintf("%s = %q", key, example))
	if !ok {
		return ""
	}
	if v.text == "" {
		s.fault(key, "is empty", fmt.Sprintf("write %s = %q or leave the key out", key, example))
	}
	return v.text
}

func (s *section) boolean(key string, otherwise bool) bool {
	v, ok := s.get(key, isBool, key+" = true or "+key+" = false")
	if !ok {
		return otherwise
	}
	return v.yes
}

// maxCount is far above anything sensible, and an int everywhere.
const maxCount = 1_000_000_000

// count reads a whole number of at least low.
func (s *section) count(key string, low, otherwise int) int {
	v, ok := s.get(key, isInteger, fmt.Sprintf("a whole number such as %d", max(otherwise, low)))
	if !ok {
		return otherwise
	}
	if v.n < int64(low) || v.n > maxCount {
		s.fault(key, fmt.Sprintf("%d is out of range", v.n), fmt.Sprintf("write a number from %d to %d", low, maxCount))
		return otherwise
	}
	return int(v.n)
}

// typed reads a string that parse turns into a value.
func typed[T any](s *section, key string, parse func(string) (T, error), otherwise T, write string) T {
	v, ok := s.get(key, isString, write)
	if !ok {
		return otherwise
	}
	t, err := parse(v.text)
	if err != nil {
		s.fault(key, err.Error(), "write "+write)
		return otherwise
	}
	return t
}

// maxDuration is a hundred years: sums of durations, such as of grace and
// index-max-age, must not overflow into the past.
const maxDuration = Duration(36500 * 24 * time.Hour)

func (s *section) duration(key string, otherwise Duration) Duration {
	d := typed(s, key, ParseDuration, otherwise, `a duration such as "90m", "72h" or "3d"`)
	if d > maxDuration {
		s.fault(key, fmt.Sprintf("%v is out of range", d), `write a duration of at most "36500d"`)
		return otherwise
	}
	return d
}

func (s *section) size(key string, otherwise Size) Size {
	return typed(s, key, ParseSize, otherwise, `a size such as "10GB" or "512MiB"`)
}

func (s *section) rate(key string) Rate {
	return typed(s, key, ParseRate, 0, `a rate such as "50MB/s"`)
}

func (s *section) share(key string, otherwise Share) Share {
	return typed(s, key, ParseShare, otherwise, `a share from "0%" to "100%"`)
}

// list reads a list of different strings that each pass check, which may be nil.
// A list that is given may not be empty.
func (s *section) list(key, example string, check rule) []string {
	all := s.listOrNone(key, example, check)
	if v, ok := s.get(key, isArray, ""); ok && len(v.items) == 0 {
		s.fault(key, "is empty", fmt.Sprintf("write %s = [%q] or leave the key out", key, example))
	}
	return all
}

// listOrNone is list for keys where an empty list has a meaning.
func (s *section) listOrNone(key, example string, check rule) []string {
	v, ok := s.get(key, isArray, fmt.Sprintf("%s = [%q]", key, example))
	if !ok {
		return nil
	}
	var all []string
	seen := map[string]bool{}
	for i, item := range v.items {
		path := fmt.Sprintf("%s[%d]", s.at(key), i)
		s.r.places[path] = item.place
		if item.kind != isString {
			s.r.fault(path, fmt.Sprintf("holds %s, not %s", item.kind, isString), fmt.Sprintf("write %q", example))
			continue
		}
		s.item(path, item.text, seen, check)
		all = append(all, item.text)
	}
	return all
}

// item checks one string of a list against the rule and the ones that were seen.
func (s *section) item(path, text string, seen map[string]bool, check rule) {
	if check != nil {
		if problem, advice := check(text); problem != "" {
			s.r.fault(path, problem, advice)
		}
	}
	if seen[text] {
		s.r.fault(path, fmt.Sprintf("%q is listed twice", text), "remove one of the two")
	}
	seen[text] = true
}

// sub reads a table; its section is empty if the table is missing.
func (s *section) sub(key, write string) *section {
	v, ok := s.get(key, isTable, write)
	if !ok {
		return s.r.section(s.at(key), nil)
	}
	return s.r.section(s.at(key), v.table)
}

// subs reads a list of tables, most at most.
func (s *section) subs(key, write string, most int) []*section {
	v, ok := s.get(key, isArray, write)
	if !ok {
		return nil
	}
	if len(v.items) > most {
		s.fault(key, fmt.Sprintf("%d tables are more than %d", len(v.items), most), "make several specs of it")
		return nil
	}
	var all []*section
	for i, item := range v.items {
		path := fmt.Sprintf("%s[%d]", s.at(key), i)
		s.r.places[path] = item.place
		if item.kind != isTable {
			s.r.fault(path, fmt.Sprintf("holds %s, not %s", item.kind, isTable), "write "+write)
			continue
		}
		all = append(all, s.r.section(path, item.table))
	}
	return all
}

// done reports the keys that nobody asked for. elsewhere may explain a key that
// is known in another place.
func (s *section) done(elsewhere func(key string) (problem, advice string)) {
	if s.table == nil {
		return
	}
	for _, key := range s.table.keys {
		if slices.Contains(s.known, key) {
			continue
		}
		s.r.places[s.at(key)] = s.table.entries[key].place
		problem, advice := "", ""
		if elsewhere != nil {
			problem, advice = elsewhere(key)
		}
		if problem == "" {
			problem, advice = "unknown key", fmt.Sprintf("did you mean %q?", nearest(key, s.known))
		}
		s.fault(key, problem, advice)
	}
}
