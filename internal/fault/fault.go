// Package fault names the kinds of failure that the rest of the program tells apart.
//
// A kind is a sentinel: wrap it where it is known, test it with errors.Is, and
// let exactly one place (activities/errors.go) decide what it means for Temporal.
package fault

import (
	"errors"
	"strings"
)

// Kind is one sort of failure. It is itself an error, so errors.Is(err, fault.Gone) works.
type Kind string

// Error returns the kind's name.
func (k Kind) Error() string { return string(k) }

const (
	// Unavailable is a passing failure of a network or a server: try again.
	Unavailable Kind = "unavailable"
	// Gone is a definite answer that the thing does not exist (404, 410).
	Gone Kind = "gone"
	// Denied is an authentication or permission failure (401, 403).
	Denied Kind = "denied"
	// Unproved is content that fails its digest, its size or its signature.
	Unproved Kind = "unproved"
	// Stale is an index older than, or inconsistent with, one already seen.
	Stale Kind = "stale"
	// Malformed is content that cannot be read as what it claims to be.
	Malformed Kind = "malformed"
	// Hostile is content that tries to leave the tree or to exhaust the machine.
	Hostile Kind = "hostile"
	// Conflict is a path that already holds other bytes.
	Conflict Kind = "conflict"
	// Fenced means that a newer run has taken over; whoever sees it must stop.
	Fenced Kind = "fenced"
	// WrongStorage is a tree, state or region without the identity expected of it.
	WrongStorage Kind = "wrong-storage"
	// Early is a step that another one has to precede: it is made in a later cycle.
	Early Kind = "early"
	// NoSpace is a disk, quota or directory that is full or would become so.
	NoSpace Kind = "no-space"
	// Config is a mistake in the spec or on this machine that a person must mend.
	Config Kind = "config"
	// Corrupt is our own data that does not match its digest.
	Corrupt Kind = "corrupt"
)

// Error says what failed in one line: operation, subject (a path or URL), kind, cause and advice.
type Error struct {
	Kind    Kind
	Op      string // package and verb, such as "apt: fetch"
	Subject string // the path or URL
	Err     error  // the cause, may be nil
	Advice  string // what to do about it, may be empty
}

// Error renders "op subject: cause: advice".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" " + e.Subject)
	}
	b.WriteString(": " + string(e.Kind))
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// KindOf returns the first kind found in err's tree, or "" if it names none.
func KindOf(err error) Kind {
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return ""
}
