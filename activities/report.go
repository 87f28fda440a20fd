package activities

import (
	"context"
	"errors"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/notify"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/span"
	"mirrorcycle/internal/standing"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/mirrorspec"
)

// ReportInput is what a cycle knows at its end.
type ReportInput struct {
	Targets []Target           `json:"targets"`
	Status  site.Status        `json:"status"`
	Details []MirrorDetail     `json:"details,omitempty"`
	Notify  *mirrorspec.Notify `json:"notify,omitempty"`
}

// MirrorDetail is what the status does not say of a mirror.
type MirrorDetail struct {
	Mirror  string                    `json:"mirror"`
	Missing int64                     `json:"missing"` // objects that the plan wanted and that are not there; -1 if there was none
	Wheels  map[string]map[string]int `json:"wheels,omitempty"`
}

// Reported says how many notices are due.
type Reported struct {
	Due int `json:"due"`
}

// NotifyInput tells what is due of a cycle.
type NotifyInput struct {
	State  string            `json:"state"` // of the storage
	Cycle  string            `json:"cycle"`
	Notify mirrorspec.Notify `json:"notify"`
}

// Notified counts what was told.
type Notified struct {
	Told int `json:"told"`
}

// Report writes down how the mirrors of a cycle stand, for metrics and notices.
func (s *Sync) Report(ctx context.Context, in ReportInput) (Reported, error) {
	if len(in.Targets) == 0 {
		return Reported{}, nil
	}
	state, cycle := in.Targets[0].Storage.State, in.Status.Cycle
	telemetry.Watch(state)
	before, err := standing.Read(state, cycle)
	if err != nil {
		return Reported{}, translate(err)
	}
	seen, err := s.Survey(ctx, SurveyInput{Targets: in.Targets, Status: in.Status})
	if err != nil {
		return Reported{}, err
	}
	r := &standing.Record{Status: seen.Status, Details: map[string]standing.Detail{}}
	r.Status.Written = time.Now().UTC()
	r.Status.Carry(&before.Status, r.Status.Written)
	if err := s.details(ctx, in, before, r); err != nil {
		return Reported{}, translate(err)
	}
	if err := standing.Write(state, cycle, r); err != nil {
		return Reported{}, translate(err)
	}
	countCycle(ctx, in.Status)
	if in.Notify == nil {
		return Reported{}, nil
	}
	told, err := standing.ReadTold(state, cycle)
	return Reported{Due: len(notify.Due(cycle, r, told, time.Duration(in.Notify.Lag)))}, translate(err)
}

// details fills in what only the trees and the runs know. A storage none of
// whose trees can be read is away: nothing is written to what is in its place.
func (s *Sync) details(ctx context.Context, in ReportInput, before, r *standing.Record) error {
	var failures []error
	for _, target := range in.Targets {
		name := target.Mirror.Name
		d := before.Details[name]
		m := s.of(ctx, target, new(pulse))
		if err := m.Read(); err != nil {
			failures = append(failures, err)
		} else if at, ok := m.ValidUntil(); ok {
			d.ValidUntil = at
		}
		m.Close()
		r.Details[name] = d
	}
	if len(failures) == len(in.Targets) {
		return &fault.Error{Kind: fault.WrongStorage, Op: "activities: report", Subject: in.Targets[0].Storage.State, Err: errors.Join(failures...), Advice: "mount the storage"}
	}
	for _, m := range in.Details {
		d := r.Details[m.Mirror]
		if m.Missing >= 0 {
			d.Missing = m.Missing
		}
		if len(m.Wheels) > 0 {
			d.Wheels = m.Wheels
		}
		r.Details[m.Mirror] = d
	}
	return nil
}

func countCycle(ctx context.Context, s site.Status) {
	name := span.Cycle.String(s.Cycle)
	for _, c := range s.Cycles {
		telemetry.CycleTime.Record(ctx, time.Duration(c.Seconds*float64(time.Second)), name, span.Outcome.String(c.Outcome))
	}
	for _, m := range s.Mirrors {
		if m.Outcome != "" {
			telemetry.Runs.Add(ctx, 1, name, span.Mirror.String(m.Name), span.Kind.String(string(m.Kind)), span.Outcome.String(m.Outcome))
		}
	}
}

// Notify tells the webhook what it was not told yet, one change after the other.
func (s *Sync) Notify(ctx context.Context, in NotifyInput) (Notified, error) {
	var out Notified
	r, err := standing.Read(in.State, in.Cycle)
	if err != nil {
		return out, translate(err)
	}
	told, err := standing.ReadTold(in.State, in.Cycle)
	if err != nil {
		return out, translate(err)
	}
	for _, n := range notify.Due(in.Cycle, r, told, time.Duration(in.Notify.Lag)) {
		if err := notify.Send(ctx, in.Notify.URLFile, n); err != nil {
			return out, translate(err)
		}
		told[notify.Subject(n)] = n
		if err := standing.WriteTold(in.State, in.Cycle, told); err != nil {
			return out, translate(err)
		}
		out.Told++
		telemetry.Notices.Add(ctx, 1, span.Cycle.String(n.Cycle), span.Mirror.String(n.Mirror), span.Outcome.String(n.Condition))
	}
	return out, nil
}
