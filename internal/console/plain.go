package console

import (
	"fmt"
	"io"
	"time"
)

// quiet is the least time between two lines of progress of one mirror.
const quiet = 10 * time.Second

// plain writes a line for each mirror that has entered a stage, or that has
// come further since its last line and was silent long enough.
func (d *Display) plain(now time.Time) {
	at := clock(now.Sub(d.start))
	if len(d.rows) == 0 && !d.waiting {
		d.waiting = true
		fmt.Fprintln(d.w, at, waiting)
	}
	for _, r := range d.rows {
		entered := r.said.IsZero() || r.Stage != r.told.Stage || r.Ended != r.told.Ended
		if !entered && (r.Mirror == r.told || now.Sub(r.said) < quiet) {
			continue
		}
		r.said, r.told = now, r.Mirror
		io.WriteString(d.w, at+" "+sentence(r.Mirror, r.rate(now))+"\n")
	}
}

// sentence says in words what a line of the screen shows.
func sentence(m Mirror, r Rate) string {
	s := cut(m.Name, 200) + ": " + cut(m.stage(), 200)
	if m.Objects > 0 {
		s += ", " + commas(m.DoneObjects) + " of " + plural(m.Objects, "object")
	}
	if m.Bytes > 0 {
		s += ", " + m.bytes()
	}
	if r.Bytes > 0 {
		s += ", " + rate(r.Bytes, m.Ended)
	}
	if d, ok := left(m, r); ok {
		s += ", " + clock(d) + " left"
	}
	return s
}
