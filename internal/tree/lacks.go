package tree

import "mirrorcycle/internal/fault"

// Lacks is what upstream lists and a generation has not, or has as it was.
type Lacks struct {
	Missing map[fault.Kind]int64 // what could not be had, by why
	Refused map[fault.Kind]int64 // what cannot be believed, by why
	Some    []Lack               // as many as were asked for
}

// Lack is one thing that a generation has not.
type Lack struct {
	Unit    string // suite or project
	File    string // "" is the whole unit
	Reason  string
	Kind    fault.Kind
	Refused bool // what upstream says of it cannot be believed; else it could not be had
}

// Add counts n things of a kind.
func (l *Lacks) Add(kind fault.Kind, refused bool, n int64) {
	by := &l.Missing
	if refused {
		by = &l.Refused
	}
	if n == 0 {
		return
	}
	if *by == nil {
		*by = map[fault.Kind]int64{}
	}
	(*by)[kind] += n
}

// Name names one thing, unless max are named already.
func (l *Lacks) Name(k Lack, max int) {
	if len(l.Some) < max {
		l.Some = append(l.Some, k)
	}
}

// Totals are the numbers of all that is missing, and of all that is refused.
func (l *Lacks) Totals() (missing, refused int64) {
	for _, n := range l.Missing {
		missing += n
	}
	for _, n := range l.Refused {
		refused += n
	}
	return missing, refused
}

// Into adds all of it to another, which names up to max.
func (l *Lacks) Into(to *Lacks, max int) {
	for kind, n := range l.Missing {
		to.Add(kind, false, n)
	}
	for kind, n := range l.Refused {
		to.Add(kind, true, n)
	}
	for _, k := range l.Some {
		to.Name(k, max)
	}
}
