package fetch

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
)

// failure is why one attempt at one upstream came to nothing.
type failure struct {
	kind    fault.Kind
	err     error
	again   bool          // the same upstream may do better
	offline bool          // the host did not answer at all
	after   time.Duration // what it asks to wait before
	final   bool          // no upstream can mend it: our disk, or cancelled
	advice  string        // "" is that of its kind
}

// statusFailure sorts an answer that is not the file.
func statusFailure(resp *http.Response, now time.Time) *failure {
	f := &failure{kind: fault.Unavailable, err: errors.New(statusText(resp.StatusCode))}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		f.kind = fault.Gone
	case code == http.StatusUnauthorized, code == http.StatusForbidden,
		code == http.StatusProxyAuthRequired, code == http.StatusUnavailableForLegalReasons:
		f.kind = fault.Denied
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code == http.StatusRequestedRangeNotSatisfiable, code >= 500:
		f.again, f.after = true, retryAfter(resp.Header.Get("Retry-After"), now)
	}
	return f
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", code, http.StatusText(code)))
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); 0 if there is neither.
func retryAfter(v string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(v); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// netFailure sorts an error of the connection.
func netFailure(err error) *failure {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // url.Error quotes the URL with its query
	}
	var cert *tls.CertificateVerificationError
	var proxy proxyRefusal
	var internal errInternal
	switch {
	case errors.As(err, &internal):
		return &failure{kind: fault.Denied, err: internal, advice: internalAdvice(err)}
	case errors.As(err, &proxy) && proxy == http.StatusProxyAuthRequired:
		return &failure{kind: fault.Denied, err: err}
	case errors.Is(err, errDowngrade):
		return &failure{kind: fault.Hostile, err: err}
	case errors.Is(err, errRedirects):
		return &failure{kind: fault.Unavailable, err: err}
	case errors.As(err, &cert):
		return &failure{kind: fault.Denied, err: err}
	}
	return &failure{kind: fault.Unavailable, err: err, again: true, offline: true}
}

// sinkFailure keeps the kind that the sink gave.
func sinkFailure(err error) *failure {
	kind := fault.KindOf(err)
	if kind == "" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		kind = fault.NoSpace
	}
	return &failure{kind: kind, err: fmt.Errorf("write: %w", err), final: true}
}

// ranks says which failure stands for several: proof of something wrong before
// hope, and hope before the certainty that nothing is there, which needs everyone.
var ranks = []fault.Kind{fault.Unproved, fault.Hostile, fault.Unavailable, fault.Denied, fault.Gone}

var advice = map[fault.Kind]string{
	fault.Unproved:    "fetch the index again; if it stays so, this upstream is broken or in the middle of an update",
	fault.Hostile:     "do not use this upstream",
	fault.Unavailable: "try again later or add another upstream",
	fault.Gone:        "check the name, or wait: upstream may be in the middle of an update",
	fault.Denied:      "check credentials (netrc), client certificate and certificate authorities",
}

// join makes one error of the last failure of each target. The kinds of the
// others are kept as text only: errors.Is must not find Gone in what is not gone.
func joinFailures(targets []target, last []*failure) error {
	worst := -1
	for _, kind := range ranks {
		for i, f := range last {
			if worst < 0 && f != nil && f.kind == kind {
				worst = i
			}
		}
	}
	if worst < 0 {
		return &fault.Error{Kind: fault.Unavailable, Op: "fetch: get", Subject: targets[0].name, Err: errors.New("not tried")}
	}
	err := last[worst].err
	var others []string
	for i, f := range last {
		if i != worst && f != nil {
			others = append(others, fmt.Sprintf("%s: %s: %s", targets[i].name, f.kind, f.err))
		}
	}
	if others != nil {
		err = fmt.Errorf("%w (and %s)", err, strings.Join(others, ", "))
	}
	return &fault.Error{Kind: last[worst].kind, Op: "fetch: get", Subject: targets[worst].name, Err: err, Advice: cmp.Or(last[worst].advice, advice[last[worst].kind])}
}
