package workflows

import "slices"

// gravity orders the outcomes from best to worst.
var gravity = []Outcome{Unchanged, Planned, Done, Busy, OnHold, Late, Held, Partial, Failed}

// worse returns the graver of two outcomes.
func worse(a, b Outcome) Outcome {
	if slices.Index(gravity, b) > slices.Index(gravity, a) {
		return b
	}
	return a
}
