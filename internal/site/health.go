package site

import (
	"strconv"
	"time"
)

// beat is the number of seconds that one file below health stands for. A web
// server that can only look whether a file is there asks for the one of its own clock.
const beat = 1000

// HealthDir holds the files.
const HealthDir = "health"

// maxBeats keeps a mistake in the spec from filling the directory: 14 days.
const maxBeats = 1210

// Health names the files that make /healthz 200 from now until a time: the
// seconds of the Unix epoch without their last three digits.
func Health(now, until time.Time) []string {
	var out []string
	for n := now.Unix() / beat; (n+1)*beat <= until.Unix() && len(out) < maxBeats; n++ {
		out = append(out, strconv.FormatInt(n, 10))
	}
	return out
}
