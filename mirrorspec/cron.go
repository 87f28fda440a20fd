package mirrorspec

import (
	"strconv"
	"strings"
	"time"
)

// Period is the shortest time between two cycles that the schedule of c
// starts. Of a cron expression it is the shortest time between two due times
// if it held every day, which is never longer than the real one.
func (c Cycle) Period() time.Duration {
	if c.Cron == "" {
		return time.Duration(c.Every)
	}
	fields := strings.Fields(c.Cron)
	if len(fields) != 5 {
		if c.Cron == "@hourly" {
			return time.Hour
		}
		return 24 * time.Hour // the other shortcuts are due at most once a day
	}
	var due []int // minutes of a day
	minutes, hours := cronValues(fields[0], 60), cronValues(fields[1], 24)
	for _, h := range hours {
		for _, m := range minutes {
			due = append(due, 60*h+m)
		}
	}
	const day = 24 * 60
	shortest := day
	for i, at := range due {
		next := due[(i+1)%len(due)]
		if gap := (next - at + day) % day; gap > 0 {
			shortest = min(shortest, gap)
		}
	}
	return time.Duration(shortest) * time.Minute
}

// cronValues lists what a field of minutes or hours stands for, ascending:
// *, n, n-m, each with a step, and lists of them. What it cannot read stands
// for every value, so that a period is never taken for longer than it is.
func cronValues(field string, n int) []int {
	set := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step, err := strconv.Atoi(stepText)
		if !stepped {
			step, err = 1, nil
		}
		from, to := 0, n-1
		if span != "*" && span != "?" && err == nil {
			low, high, ranged := strings.Cut(span, "-")
			if from, err = strconv.Atoi(low); err == nil && ranged {
				to, err = strconv.Atoi(high)
			} else if !stepped {
				to = from
			}
		}
		if err != nil || step <= 0 || from < 0 || to >= n {
			from, to, step = 0, n-1, 1
		}
		for v := from; v <= to; v += step {
			set[v] = true
		}
	}
	var out []int
	for v := range n {
		if set[v] {
			out = append(out, v)
		}
	}
	return out
}
