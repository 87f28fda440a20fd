package workflows

import (
	"slices"

	"mirrorcycle/internal/tree"
)

// gravity orders the outcomes from best to worst.
var gravity = []Outcome{Unchanged, Planned, Done, Busy, OnHold, Late, Held, Partial, Failed}

// worse returns the graver of two outcomes.
func worse(a, b Outcome) Outcome {
	if slices.Index(gravity, b) > slices.Index(gravity, a) {
		return b
	}
	return a
}

// news reports whether a run left something behind that no earlier one told of.
// What upstream lacks, and goes on lacking, leaves a mirror as right as it can be.
func news(notes []tree.Note) bool {
	return slices.ContainsFunc(notes, func(n tree.Note) bool { return !n.Known })
}
