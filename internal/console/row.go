package console

import "time"

// window is the time over which a rate is the mean: long enough for large
// files that land at once, short enough to see a stall.
const window = 15 * time.Second

// row is a mirror's line with its past.
type row struct {
	Mirror
	samples []sample
	said    time.Time // plain lines: when the last one was written,
	told    Mirror    // and what it said
}

type sample struct {
	at             time.Time
	objects, bytes int64
}

// take accepts news of the mirror. While a total stays the same what is done
// does not go back, though a retry counts its work from the start again.
func (r *row) take(m Mirror) {
	if m.Stage == "" || m.Stage == starting && !m.Ended {
		if r.Stage != "" { // an unanswered question is no step back
			m.Stage, m.Ended = r.Stage, r.Ended
		}
	}
	objects, bytes := r.Objects, r.Bytes
	m.Objects, m.DoneObjects = forward(objects, r.DoneObjects, m.Objects, m.DoneObjects)
	m.Bytes, m.DoneBytes = forward(bytes, r.DoneBytes, m.Bytes, m.DoneBytes)
	if m.Objects != objects || m.Bytes != bytes {
		r.samples = nil
	}
	r.Mirror = m
}

// forward merges what was and what is said of a total and its done part.
func forward(oldTotal, oldDone, total, done int64) (int64, int64) {
	if total <= 0 {
		total = oldTotal
	}
	if total == oldTotal {
		done = max(done, oldDone)
	}
	if total > 0 {
		done = min(done, total) // running shards and finished ones may overlap
	}
	return total, max(done, 0)
}

// sample notes what is done at this moment, news or not, so that a rate falls
// when nothing comes.
func (r *row) sample(now time.Time) {
	r.samples = append(r.samples, sample{now, r.DoneObjects, r.DoneBytes})
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= window {
		r.samples = r.samples[1:]
	}
}

// Rate is what is done in a second.
type Rate struct{ Objects, Bytes float64 }

func (r *row) rate(now time.Time) Rate {
	first := r.samples[0]
	seconds := now.Sub(first.at).Seconds()
	if seconds < 1 || r.Ended {
		return Rate{}
	}
	return Rate{float64(r.DoneObjects-first.objects) / seconds, float64(r.DoneBytes-first.bytes) / seconds}
}

// left returns the time that the rest takes at a rate, and whether it is known.
func left(m Mirror, r Rate) (time.Duration, bool) {
	rest, rate := m.Bytes-m.DoneBytes, r.Bytes
	if m.Bytes == 0 {
		rest, rate = m.Objects-m.DoneObjects, r.Objects
	}
	if m.Ended || rate <= 0 || rest <= 0 {
		return 0, false
	}
	return time.Duration(min(float64(rest)/rate, 999*3600) * float64(time.Second)).Round(time.Second), true
}
