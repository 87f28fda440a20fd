package ledger_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/ledger"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(hours float64) time.Time { return epoch.Add(time.Duration(hours * float64(time.Hour))) }

func rec(hours float64, e ledger.Event, gen int64) ledger.Record {
	return ledger.Record{Time: at(hours), Event: e, Gen: gen}
}

const (
	intent  = ledger.Intent
	serves  = ledger.Serves
	retired = ledger.Retired
)

func TestProved(t *testing.T) {
	type log = []ledger.Record
	cases := []struct {
		name  string
		log   log
		gen   int64
		now   float64
		hours float64
	}{
		{"no log proves nothing", nil, 1, 5, 0},
		{"an intent alone proves nothing", log{rec(0, intent, 5)}, 5, 1, 0},
		{"from the first probe on", log{rec(0, intent, 5), rec(1, serves, 5)}, 5, 3, 2},
		{"a newer generation counts too", log{rec(0, serves, 7)}, 5, 2, 2},
		{"an older generation does not", log{rec(0, serves, 4)}, 5, 2, 0},
		{"a flip to a newer one goes on", log{rec(0, serves, 5), rec(1, intent, 6), rec(2, serves, 6)}, 5, 3, 3},
		{"an open intent to a newer one goes on", log{rec(0, serves, 5), rec(1, intent, 6)}, 5, 3, 3},
		{"but does not prove the newer one", log{rec(0, serves, 5), rec(1, intent, 6)}, 6, 3, 0},
		{"a probe of an older one starts anew", log{rec(0, serves, 5), rec(2, serves, 4), rec(4, serves, 5)}, 5, 5, 1},
		{"an intent to an older one starts anew", log{rec(0, serves, 5), rec(2, intent, 4), rec(4, serves, 5)}, 5, 5, 1},
		{"three periods count in full", log{rec(0, serves, 5)}, 5, 6, 6},
		{"more than three count as one", log{rec(0, serves, 5)}, 5, 6.1, 2},
		{"also between records", log{rec(0, serves, 5), rec(100, serves, 5)}, 5, 101, 3},
		{"a record from the future proves nothing yet", log{rec(50, serves, 5)}, 5, 2, 0},
		{"a step forward and back is undone", log{rec(0, serves, 5), rec(5, intent, 6), rec(1, serves, 6)}, 5, 2, 2},
		{"a step back and forward is undone", log{rec(0, serves, 5), rec(-5, intent, 6), rec(1, serves, 6)}, 5, 2, 2},
		{"a far step back begins anew at the next probe", log{rec(0, serves, 5), rec(9999, intent, 6), rec(1, serves, 6), rec(2, serves, 6)}, 5, 3, 2},
		{"two clocks in turn do not run twice as fast", log{rec(0, serves, 5), rec(5, intent, 6), rec(2, serves, 6), rec(7, intent, 7), rec(4, serves, 7)}, 5, 5, 5},
		{"a retired site serves nothing old", log{rec(0, serves, 4), rec(1, retired, 4)}, 5, 3, 2},
		{"what a site shows that comes back is unknown", log{rec(0, serves, 5), rec(1, retired, 5), rec(2, intent, 6)}, 5, 3, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := ledger.Proved(c.log, c.gen, at(c.now), 2*time.Hour); got != at(c.hours).Sub(epoch) {
				t.Errorf("got %s, want %vh", got, c.hours)
			}
		})
	}
}

func TestDue(t *testing.T) {
	good := []ledger.Record{rec(0, serves, 5), rec(2, serves, 5), rec(4, serves, 5)}
	bad := []ledger.Record{rec(0, serves, 5), rec(2, serves, 4), rec(4, serves, 5)}
	sites := func(logs ...[]ledger.Record) map[string][]ledger.Record {
		out := map[string][]ledger.Record{}
		for i, l := range logs {
			out[string(rune('a'+i))] = l
		}
		return out
	}
	p := ledger.Policy{Wait: 4 * time.Hour, Keep: 3 * time.Hour, Every: 2 * time.Hour}
	cases := []struct {
		name    string
		store   ledger.Store
		due     bool
		because string
	}{
		{"every site has", ledger.Store{Sites: sites(good, good)}, true, ""},
		{"one has not", ledger.Store{Sites: sites(good, bad)}, false, "site b has served generation 5 for 1h0m0s of 4h0m0s"},
		{"a new site has no log", ledger.Store{Sites: sites(good, nil)}, false, "site b has served generation 5 for 0s of 4h0m0s"},
		{"nobody could say", ledger.Store{}, false, "no site has a log"},
		{"a snapshot is readable", ledger.Store{Sites: sites(good), Snapshots: []ledger.Generation{{Number: 4, Superseded: at(3)}}}, false, "snapshot 4 is readable for 1h0m0s more"},
		{"a snapshot has just expired", ledger.Store{Sites: sites(good), Snapshots: []ledger.Generation{{Number: 4, Superseded: at(2)}}}, true, ""},
		{"an older one is not superseded", ledger.Store{Sites: sites(good), Snapshots: []ledger.Generation{{Number: 4}}}, false, "generation 4 is not superseded"},
		{"newer ones do not name it", ledger.Store{Sites: sites(good), Snapshots: []ledger.Generation{{Number: 5, Superseded: at(4)}, {Number: 6}}}, true, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			due, because := c.store.Due(5, at(5), p)
			if due != c.due || because != c.because {
				t.Errorf("got %v %q, want %v %q", due, because, c.due, c.because)
			}
		})
	}
}

func TestParseRecord(t *testing.T) {
	for _, r := range []ledger.Record{rec(0, intent, 1), rec(1.5, serves, 1<<62), rec(2, retired, 3)} {
		if got, err := ledger.ParseRecord(r.String()); err != nil || got != r {
			t.Errorf("%s came back as %s, %v", r, got, err)
		}
	}
	for _, text := range []string{"", "x", "2026-01-01T00:00:00Z serves", "2026-01-01T00:00:00Z serves 0", "2026-01-01T00:00:00Z serves -1",
		"2026-01-01T00:00:00Z holds 1", "yesterday serves 1", "2026-01-01T00:00:00Z serves 1 2", "2026-01-01T00:00:00Z serves 99999999999999999999"} {
		if got, err := ledger.ParseRecord(text); !errors.Is(err, fault.Malformed) {
			t.Errorf("%q gave %s, %v; want malformed", text, got, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("2026-01-02T03:04:05Z serves 7")
	f.Add("2026-01-02T03:04:05.000000001+01:00 intent 7")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ledger.ParseRecord(text)
		if err != nil {
			return
		}
		again, err := ledger.ParseRecord(r.String())
		if err != nil || !again.Time.Equal(r.Time) || again.Event != r.Event || again.Gen != r.Gen {
			t.Errorf("%q gave %s, which gave %s, %v", text, r, again, err)
		}
	})
}

func TestCompactProvesNoMore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var log []ledger.Record
		hour := 0.0
		for range 100 {
			if hour += rng.Float64() * 0.3; rng.IntN(20) == 0 {
				hour += rng.Float64()*20 - 10 // a clock that steps, or a pause
			}
			event := []ledger.Event{serves, serves, serves, intent, intent, serves, serves, serves, serves, retired}[rng.IntN(10)]
			log = append(log, rec(hour, event, int64(1+rng.IntN(3))))
		}
		now := at(hour + 1)
		for _, limit := range []int{0, 1, 2, 3, 10, 50, 99, 100, 200} {
			short := ledger.Compact(slices.Clone(log), limit, 2*time.Hour)
			if len(short) == 0 || (len(log) > limit && len(short) > max(limit, 1)) {
				t.Errorf("limit %d left %d records", limit, len(short))
			}
			for gen := int64(1); gen < 5; gen++ {
				whole, part := ledger.Proved(log, gen, now, 2*time.Hour), ledger.Proved(short, gen, now, 2*time.Hour)
				if part > whole {
					t.Fatalf("limit %d, generation %d: %s became %s\n%v\n%v", limit, gen, whole, part, log, short)
				}
			}
		}
	}
}

// TestCompactKeepsTheProof where cycles are more frequent than their period
// says, as with a schedule by cron: with the oldest records alone gone, nothing
// that was dropped would ever be due.
func TestCompactKeepsTheProof(t *testing.T) {
	const limit, every, wait = 100, 24 * time.Hour, 96 * time.Hour
	var log []ledger.Record
	note := func(hour float64, e ledger.Event, gen int64) {
		log = ledger.Compact(append(log, rec(hour, e, gen)), limit, every)
	}
	gen := int64(1)
	for hour := 0.0; hour <= 200; hour += 0.25 {
		if int(hour*4)%3 == 0 {
			gen++
			note(hour, intent, gen)
		}
		note(hour, serves, gen)
	}
	if got := ledger.Proved(log, 2, at(200), every); got != 200*time.Hour {
		t.Errorf("generation 2 was served for 200h, proved are %s by %d records", got, len(log))
	}
	// It may count from a later record, but from one within the period.
	if got := ledger.Proved(log, gen/4, at(200), every); got < wait {
		t.Errorf("generation %d: %s", gen/4, got)
	}
}
