package activities

import (
	"errors"
	"strings"

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

// maxErrorText bounds the text of an error, in bytes.
const maxErrorText = 4 << 10

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
	text, cause := err.Error(), err
	if len(text) > maxErrorText { // it names thousands of files, and would not fit into a message
		text, cause = strings.ToValidUTF8(text[:maxErrorText], "")+" … and more", nil
	}
	return temporal.NewApplicationErrorWithOptions(text, string(kind),
		temporal.ApplicationErrorOptions{NonRetryable: known && !retry, Cause: cause})
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
