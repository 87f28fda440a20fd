// Package doctor looks at what a host can see of a spec's parts, and says what to do about what is wrong.
//
// A check changes nothing, with two exceptions: to learn whether it may write
// it makes a file of a random name where web servers show nothing of it, and
// removes it; to learn the Temporal server's time it starts a workflow that
// nobody runs, and terminates it.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Status is how a check came out.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Problem Status = "problem"
	Unknown Status = "unknown" // it cannot be told from this host
)

// Finding is what one check found.
type Finding struct {
	Check   string `json:"check"`
	Subject string `json:"subject,omitempty"`
	Status  Status `json:"status"`
	Found   string `json:"found"`
	Advice  string `json:"advice,omitempty"` // what to do about a problem
}

// String renders the finding on one line.
func (f Finding) String() string {
	line := fmt.Sprintf("%-8s %s", f.Status, f.Check)
	if f.Subject != "" {
		line += " " + f.Subject
	}
	line += ": " + strings.ReplaceAll(f.Found, "\n", "; ")
	if f.Advice != "" {
		line += "; " + f.Advice
	}
	return line
}

// Healthy tells whether none of the findings is a problem.
func Healthy(all []Finding) bool {
	for _, f := range all {
		if f.Status == Problem {
			return false
		}
	}
	return true
}

// Options say what to look at.
type Options struct {
	Spec       *mirrorspec.Spec
	Server     Server            // Temporal's
	Attributes map[string]string // search attributes that workflows set, with their types
	Now        func() time.Time
}

// Examine does all checks.
func Examine(ctx context.Context, o Options) []Finding {
	var all []Finding
	for _, m := range o.Spec.Mirrors {
		all = append(all, Tree(o.Spec, m), State(o.Spec, m), Room(ctx, o.Spec, m))
		all = append(all, Files(m)...)
	}
	for _, r := range o.Spec.Regions {
		if r.AFS == nil {
			all = append(all, Region(ctx, o.Spec, r))
		}
		if r.Site != "" {
			all = append(all, Site(r))
		}
	}
	all = append(all, o.Server.Examine(ctx, o.Attributes, o.Now)...)
	if want := afsadmin.Wanted(o.Spec); len(want) > 0 {
		all = append(all, (&Cell{Cell: afsadmin.CellOf(*o.Spec.AFS), AFS: *o.Spec.AFS}).Examine(ctx, want)...)
	}
	return all
}

// finding is a problem if err is not nil, else fine.
func finding(check, subject string, err error, fine string) Finding {
	if err == nil {
		return Finding{check, subject, OK, fine, ""}
	}
	f := Finding{Check: check, Subject: subject, Status: Problem, Found: err.Error()}
	var known *fault.Error
	if errors.As(err, &known) && known.Advice != "" {
		f.Found, f.Advice = strings.Replace(f.Found, "; "+known.Advice, "", 1), known.Advice
	}
	return f
}
