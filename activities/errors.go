package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"mirrorcycle/internal/fault"
)

// retryable says which kinds of failure are worth another attempt of the same
// activity. An unknown failure is: a full retry budget is cheaper than a lost run.
var retryable = map[fault.Kind]bool{
	fault.Unavailable:  true,
	fault.NoSpace:      true,
	fault.Gone:         false,
	fault.Denied:       false,
	fault.Unproved:     false,
	fault.Stale:        false,
	fault.Malformed:    false,
	fault.Hostile:      false,
	fault.Conflict:     false,
	fault.Fenced:       false,
	fault.WrongStorage: false,
	fault.Config:       false,
	fault.Corrupt:      false,
	fault.Early:        false,
}

// translate gives an error the type by which workflows and the Web UI know it.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var done *temporal.ApplicationError
	if errors.As(err, &done) {
		return err
	}
	kind := fault.KindOf(err)
	retry, known := retryable[kind]
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(kind),
		temporal.ApplicationErrorOptions{NonRetryable: known && !retry, Cause: err})
}

// FaultOf returns the kind and text of an activity's error as a workflow sees it.
func FaultOf(err error) (kind, text string) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type(), app.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return string(fault.Unavailable), "activity: " + timeout.Error() + "; is a worker with this role running?"
	}
	return "", err.Error()
}
