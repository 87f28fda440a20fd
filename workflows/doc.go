// Package workflows says what happens in a cycle, and in which order; it is deterministic.
//
// MirrorCycle makes a pass over a spec with a child Mirror for each mirror.
// That starts what brings the tree up to date (Refresh) and what serves it in
// each group of regions (Serve); these do not wait for each other and outlive
// the cycle, which ends before the next one is due. Decisions are pure
// functions on values.
package workflows
