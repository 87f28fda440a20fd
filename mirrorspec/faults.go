package mirrorspec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
)

// Fault is one mistake in a spec, with the place where it stands.
type Fault struct {
	File    string
	Line    int    // from 1
	Column  int    // in bytes, from 1
	Key     string // dotted key such as "mirror.grace"; empty for a syntax error
	Problem string // what is wrong
	Advice  string // what to write instead
}

// Error renders "file:line:column: key: what is wrong, what to write".
func (f Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	if f.Advice != "" {
		b.WriteString(", " + f.Advice)
	}
	return b.String()
}

// Faults are all the mistakes of one spec in the order of their places. As an
// error they are of kind fault.Config.
type Faults []Fault

// Error renders one fault per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap names the kind of failure.
func (f Faults) Unwrap() error { return fault.Config }

func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

const maxWord = 100

// nearest returns the candidate with the smallest edit distance to word, the
// first of equals. What is longer than any name is not compared.
func nearest(word string, candidates []string) string {
	word = word[:min(len(word), maxWord)]
	best, bestDistance := "", -1
	for _, c := range candidates {
		if d := levenshtein(word, c[:min(len(c), maxWord)]); bestDistance < 0 || d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// levenshtein counts the single-byte edits that turn a into b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
