// Package workflows says what happens in a cycle, and in which order; it is deterministic.
//
// MirrorCycle makes a pass over a spec with a child Mirror per mirror, which
// has a child Release per region. Children are abandoned to themselves when
// their parent has waited long enough. Decisions are pure functions on values.
package workflows
