package reqsource

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-github/v58/github"
)

// No limit is believed to be longer than longest, or over at once: GitHub's own
// end within an hour, and what stands in its place may say anything.
const shortest, longest = time.Second, 2 * time.Hour

// limited says how long the server, which answered with resp and err, wants to be left alone; ok is false if its
// answer is no limit. Retry-After belongs to secondary limits, the reset to the
// primary one; it is counted from the answer's own Date, as clocks differ. A
// secondary limit that names no time means a minute at least.
func limited(resp *http.Response, err error, now time.Time) (pause time.Duration, ok bool) {
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	defer func() { pause = min(max(pause, shortest), longest) }()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = date
	}
	after := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(longest/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(at.Sub(now), 0), true
	}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(time.Unix(reset, 0).Sub(now), 0) + time.Second, true // it is cut to seconds
		}
		return time.Minute, true
	}
	var secondary *github.AbuseRateLimitError
	return time.Minute, resp.StatusCode == http.StatusTooManyRequests || errors.As(err, &secondary)
}
