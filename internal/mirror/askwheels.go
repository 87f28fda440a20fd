package mirror

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheels"
)

// WheelState is the state of one pin on one platform.
type WheelState struct {
	Platform  string    `json:"platform"`
	Pin       string    `json:"pin"`
	State     string    `json:"state"`
	File      string    `json:"file,omitempty"`     // upstream, built
	From      string    `json:"from,omitempty"`     // built: on which other platform
	Class     string    `json:"class,omitempty"`    // of the failure
	Message   string    `json:"message,omitempty"`  // of the failure
	Reason    string    `json:"reason,omitempty"`   // skipped
	Next      time.Time `json:"next,omitzero"`      // failed: when it is due again
	Until     time.Time `json:"until,omitzero"`     // skipped: zero is for ever
	Attempts  int       `json:"attempts,omitempty"` // failed ones in a row
	Log       string    `json:"log,omitempty"`      // where regions have the last build's log, below their URL
	Libraries []string  `json:"libraries,omitempty"`
}

// What crosses Temporal is bounded: states in number, a message in bytes.
const maxStates, maxStateMessage = 4000, 200

// wheelStates answers with the states of the pins that are wanted.
func wheelStates(q Question) ([]WheelState, error) {
	names, err := platformsOf(q)
	if err != nil {
		return nil, err
	}
	store := states(q.Target)
	platforms, err := store.Platforms(platformNames(q.Target), wanted(q.Target))
	if err != nil {
		return nil, err
	}
	x, done, err := openIndex(q.Target)
	if err != nil {
		return nil, err
	}
	defer done()
	elsewhere, err := elsewhere(q.Target)
	if err != nil {
		return nil, err
	}
	var out []WheelState
	for _, name := range names {
		rows, err := store.Survey(x, platforms, name, false)
		if err != nil {
			return nil, err
		}
		rows = append(rows, elsewhere[name]...)
		for _, r := range rows {
			if q.Pin != "" && q.Pin != r.Pin.String() {
				continue
			}
			if !q.Failed || r.State == wheels.Failed || r.Class != "" || r.Attempts > 0 {
				out = append(out, wheelState(q, r))
			}
		}
	}
	if len(out) > maxStates {
		return nil, &fault.Error{Kind: fault.Config, Op: "wheels: list", Subject: q.Target.Mirror.Name,
			Err: fmt.Errorf("%d states are too many for one answer", len(out)), Advice: "ask for one platform, or for the failed ones"}
	}
	slices.SortStableFunc(out, func(a, b WheelState) int {
		return strings.Compare(a.Platform+" "+a.Pin, b.Platform+" "+b.Pin)
	})
	return out, nil
}

func wheelState(q Question, r wheels.Row) WheelState {
	s := WheelState{Platform: r.Platform, Pin: r.Pin.String(), State: string(r.State), File: r.File, From: r.From, Class: r.Class, Message: fault.Line(r.Message, maxStateMessage),
		Reason: r.Reason, Next: r.Next, Until: r.Until, Attempts: r.Attempts, Libraries: slices.Clone(r.Libraries)}
	for i, name := range s.Libraries { // of journals of earlier versions
		s.Libraries[i] = fault.Line(name, maxStateMessage)
	}
	if r.Log != "" {
		s.Log = "/" + q.Target.Mirror.Name + "/" + wheels.LogPath(r.Platform, r.Pin)
	}
	return s
}

// platformsOf lists the platforms that a question is about.
func platformsOf(q Question) ([]string, error) {
	all := platformNames(q.Target)
	switch {
	case len(all) == 0:
		return nil, &fault.Error{Kind: fault.Config, Op: "wheels: look for platform", Subject: q.Target.Mirror.Name,
			Err: errors.New("it is no wheels mirror"), Advice: "name one of kind wheels"}
	case q.Platform == "":
		return all, nil
	case !slices.Contains(all, q.Platform):
		return nil, &fault.Error{Kind: fault.Config, Op: "wheels: look for platform", Subject: q.Platform,
			Err: errors.New("there is none of that name"), Advice: "the spec has " + strings.Join(all, ", ")}
	}
	return []string{q.Platform}, nil
}

// setWheel makes pins due again, or skips one, and answers with their states.
func setWheel(q Question) ([]WheelState, error) {
	names, err := platformsOf(q)
	if err != nil {
		return nil, err
	}
	if q.Pin == "" {
		return retryFailed(q, names)
	}
	pin, err := wheels.ParsePin(q.Pin)
	if err != nil {
		return nil, err
	}
	pins, err := wanted(q.Target)()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(p string) bool { return !slices.Contains(pins[p], pin) })
	if len(names) == 0 {
		return nil, &fault.Error{Kind: fault.Gone, Op: "wheels: look for pin", Subject: pin.String(), Err: errors.New("nobody wants it"),
			Advice: "see starter wheels for those that are wanted"}
	}
	for _, p := range names {
		if err := set(q, p, pin); err != nil {
			return nil, err
		}
	}
	q.Failed, q.Pin = false, pin.String()
	return wheelStates(q)
}

// set notes what a person wants of one pin on one platform. A wheel that another
// platform built is replaced there.
func set(q Question, platform string, pin wheels.Pin) error {
	store := states(q.Target)
	switch {
	case q.Verb == VerbSkip:
		return store.Skip(platform, pin, q.Reason, q.Until)
	case !q.Rebuild:
		return store.Retry(platform, pin)
	}
	log, err := store.Read(platform)
	if err != nil {
		return err
	}
	if log[pin].Built == nil {
		return store.Retry(platform, pin)
	}
	return store.Rebuild(platform, pin)
}

// retryFailed makes all failures due again, or those of one class.
func retryFailed(q Question, platforms []string) ([]WheelState, error) {
	class := q.Class
	q.Failed, q.Class = true, ""
	all, err := wheelStates(q)
	if err != nil {
		return nil, err
	}
	out := []WheelState{}
	for _, s := range all {
		if s.State != string(wheels.Failed) || s.Class == wheels.NoSource || class != "" && s.Class != class || !slices.Contains(platforms, s.Platform) {
			continue
		}
		pin, err := wheels.ParsePin(s.Pin)
		if err == nil {
			err = states(q.Target).Retry(s.Platform, pin)
		}
		if err != nil {
			return nil, err
		}
		s.State, s.Next = string(wheels.Due), time.Time{}
		out = append(out, s)
	}
	return out, nil
}
