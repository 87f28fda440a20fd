// Package ledger decides when a dropped object may be deleted: promise 1 as pure functions.
//
// Each site (a place that clients read from) has a log: "intent G" is written
// before generation G is made visible, "serves G" after a probe confirmed it.
// Between the two the site may serve either. "retired G" says that the site, last
// seen with G, answers nobody any more. An object dropped by generation D
// is due in a store when every site that answers from that store has, without
// a break, served D or later for the grace plus the time that clients may keep
// an index, and no readable snapshot older than D remains.
package ledger

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// Event is what a record of a site's log says.
type Event string

// The events.
const (
	Intent Event = "intent" // generation Gen is about to be made visible
	Serves Event = "serves" // a probe saw generation Gen
	// Retired means that the site answers nobody. Its clients still hold its
	// indexes and may come to another site, so its log counts until their wait
	// is over; like Serves it is noted in every cycle. A site that comes back
	// must not answer from what it had; what it shows is unknown until a probe
	// has seen it.
	Retired Event = "retired"
)

// Record is one entry of a site's log.
type Record struct {
	Time  time.Time
	Event Event
	Gen   int64
}

// String renders "2026-01-02T03:04:05Z serves 7".
func (r Record) String() string {
	return fmt.Sprintf("%s %s %d", r.Time.UTC().Format(time.RFC3339Nano), r.Event, r.Gen)
}

// ParseRecord reads what String wrote.
func ParseRecord(text string) (Record, error) {
	f := strings.Fields(text)
	if len(f) == 3 && slices.Contains([]Event{Intent, Serves, Retired}, Event(f[1])) {
		at, err := time.Parse(time.RFC3339Nano, f[0])
		gen, err2 := strconv.ParseInt(f[2], 10, 64)
		// An offset may lead to a year that String could not render.
		if year := at.UTC().Year(); err == nil && err2 == nil && gen > 0 && year > 0 && year < 10000 {
			return Record{Time: at, Event: Event(f[1]), Gen: gen}, nil
		}
	}
	return Record{}, fmt.Errorf("ledger: record %.80q: %w", text, fault.Malformed)
}

// Proved returns for how long, up to now, log proves that the site served no
// generation below gen. A gap between two records of more than three periods
// counts as one period: a clock that jumps, or a site that nobody looked at,
// hurries nothing.
//
// Whoever calls it, and whoever writes Serves and Retired, has checked its
// clock; an Intent is written with whatever clock there is. So a step back is
// taken off in full: it may undo a step forward that was counted. The proof may
// begin anew with each Serves, but not with an Intent, whose time may be wrong.
// If the checked clocks are right within d, Proved is right within 2d or too low.
func Proved(log []Record, gen int64, now time.Time, every time.Duration) time.Duration {
	var (
		elapsed time.Duration
		floor   int64 // lowest generation the site may serve
		last    time.Time
	)
	for i, r := range log {
		if i > 0 && floor >= gen {
			elapsed += credit(r.Time.Sub(last), every)
		}
		switch {
		case r.Event == Serves:
			floor = r.Gen
		case r.Event == Retired:
			floor = nothing
		case floor == nothing:
			floor = 0
		default:
			floor = min(floor, r.Gen)
		}
		if floor < gen || (r.Event != Intent && elapsed < 0) {
			elapsed = 0
		}
		last = r.Time
	}
	if len(log) == 0 || floor < gen {
		return 0
	}
	return max(0, elapsed+credit(now.Sub(last), every))
}

// nothing is the floor of a site that serves no generation at all.
const nothing = math.MaxInt64

// credit is what a gap between two looks at a clock is worth.
func credit(gap, every time.Duration) time.Duration {
	if gap > 3*every {
		return every
	}
	return gap
}

// Generation says since when and until when a store's generation was the newest one there.
type Generation struct {
	Number     int64
	Superseded time.Time // zero while it is the newest
}

// Readable reports whether clients may still read g as a snapshot.
func (g Generation) Readable(now time.Time, keep time.Duration) bool {
	return g.Superseded.IsZero() || now.Sub(g.Superseded) < keep
}

// Store is what answers from one set of files: its sites' logs and its snapshots.
type Store struct {
	Sites     map[string][]Record
	Snapshots []Generation
}

// Policy is how long a store waits.
type Policy struct {
	Wait  time.Duration // the grace plus the index max-age
	Keep  time.Duration // how long superseded generations stay readable
	Every time.Duration // the cycle's period
}

// Due reports whether what generation drop no longer names may be deleted from
// the store at now. If not, because names what it waits for. A store without
// any site is never due: nobody could say what clients see there.
func (s Store) Due(drop int64, now time.Time, p Policy) (due bool, because string) {
	if len(s.Sites) == 0 {
		return false, "no site has a log"
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		if got := Proved(s.Sites[name], drop, now, p.Every); got < p.Wait {
			return false, fmt.Sprintf("site %s has served generation %d for %s of %s", name, drop, got.Round(time.Second), p.Wait)
		}
	}
	for _, g := range s.Snapshots {
		if g.Number < drop && g.Superseded.IsZero() {
			return false, fmt.Sprintf("generation %d is not superseded", g.Number)
		}
		if g.Number < drop && g.Readable(now, p.Keep) {
			return false, fmt.Sprintf("snapshot %d is readable for %s more", g.Number, (p.Keep - now.Sub(g.Superseded)).Round(time.Second))
		}
	}
	return true, ""
}

// Compact thins out a log that has grown beyond limit, and drops its oldest
// records where that is not enough. The rest proves at most what the whole
// proved, so nothing is hurried; and however often somebody looks, what the
// limit leaves goes back as far as so many records for each period do.
func Compact(log []Record, limit int, every time.Duration) []Record {
	if len(log) > limit {
		log = thin(log, every)
	}
	if len(log) <= limit {
		return log
	}
	return log[len(log)-max(limit/2, 1):]
}

// thin drops what lies between two records that a site serves something, at
// most a period apart, if the site went on from the first one: no record between
// them is earlier than the one before it, or of a lower generation than the first.
func thin(log []Record, every time.Duration) []Record {
	var out []Record
	for i := 0; i < len(log); i++ {
		out = append(out, log[i])
		next := i + 1
		for j := next; log[i].Event == Serves && j < len(log) && goesOn(log[i], log[j-1], log[j], every); j++ {
			if log[j].Event == Serves {
				next = j
			}
		}
		i = next - 1
	}
	return out
}

// goesOn reports whether r, which follows last, says no more than that the site went on from first.
func goesOn(first, last, r Record, every time.Duration) bool {
	return r.Event != Retired && r.Gen >= first.Gen && !r.Time.Before(last.Time) && r.Time.Sub(first.Time) <= every
}
