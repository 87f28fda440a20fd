package ledger_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"mirrorcycle/internal/ledger"
)

// TestNothingPromisedIsMissing walks at random through the lives of stores,
// their sites and their clients. Whatever happens, every object that an index
// names which a client may still hold is in the store that answers the client,
// and when all is well for long enough nothing dropped is left.
//
// MIRRORCYCLE_SEED repeats a walk; MIRRORCYCLE_LONG=1 walks ten times as far.
func TestNothingPromisedIsMissing(t *testing.T) {
	steps, seed := 100_000, uint64(1)
	if os.Getenv("MIRRORCYCLE_LONG") == "1" {
		steps = 1_000_000
	}
	if s := os.Getenv("MIRRORCYCLE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	const life = 1_000 // steps of one world
	var total counts
	for done := 0; done < steps; done += life {
		w := newWorld(seed)
		for range life {
			w.step()
			if w.broken != "" {
				t.Fatalf("MIRRORCYCLE_SEED=%d, %d steps into it: %s", seed, w.n.steps, w.broken)
			}
		}
		if w.calm(); w.broken != "" {
			t.Fatalf("MIRRORCYCLE_SEED=%d, all well at last: %s", seed, w.broken)
		}
		total.add(w.n)
		seed++
	}
	t.Logf("seeds up to %d: %+v", seed-1, total)
	for what, n := range map[string]int{"reaped": total.reaped, "fetches": total.fetches, "rollbacks": total.rollbacks,
		"refused": total.refused, "late": total.late, "lagging": total.lagging, "retired": total.retired, "wrong clocks": total.wrong} {
		if n < steps/4000 {
			t.Errorf("only %d %s: the walk does not try what it should", n, what)
		}
	}
}

type counts struct{ steps, reaped, fetches, rollbacks, refused, late, lagging, retired, wrong int }

func (c *counts) add(o counts) {
	c.steps += o.steps
	c.reaped += o.reaped
	c.fetches += o.fetches
	c.rollbacks += o.rollbacks
	c.refused += o.refused
	c.late += o.late
	c.lagging += o.lagging
	c.retired += o.retired
	c.wrong += o.wrong
}

const (
	universe = 24 // objects
	tick     = time.Hour
	// Checked clocks are right within skew, so proofs are within twice as much.
	skew = 2 * time.Minute
	hold = 4 * time.Hour // how long a client keeps an index
)

var policy = ledger.Policy{Wait: hold + 2*skew, Keep: 8 * time.Hour, Every: tick}

type objects [universe]bool

// world is one store: what it holds and who answers from it.
type world struct {
	rng     *rand.Rand
	now     time.Time     // true time
	offset  time.Duration // of the checked clocks
	gens    []objects     // gens[i] is generation i+1
	drops   map[int64][]int
	present objects
	sites   []*site
	snaps   []ledger.Generation
	keeps   bool // serves snapshots, as a region on its own does
	clients []client
	deeds   []func() // what may happen, as often as it is here
	broken  string
	n       counts
}

// site is a place that clients read from.
type site struct {
	log     []ledger.Record
	may     []int64 // generations that one front end or another really serves
	coming  int64   // a flip that is under way and may happen at any time
	up      bool
	retired bool
}

type client struct {
	gen   int64
	until time.Time
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, drops: map[int64][]int{}}
	n := 1 + w.rng.IntN(3)
	w.keeps = n == 1
	for range n {
		w.sites = append(w.sites, &site{up: true})
	}
	w.moods()
	w.commit()
	return w
}

func (w *world) newest() int64      { return int64(len(w.gens)) }
func (w *world) of(g int64) objects { return w.gens[g-1] }
func (w *world) clock() time.Time   { return w.now.Add(w.offset) }

func (w *world) pick() *site { return w.sites[w.rng.IntN(len(w.sites))] }

// moods are how often things happen in a world, for each world anew.
func (w *world) moods() {
	each := []struct {
		weight float64
		do     func()
	}{
		{6, w.commit}, {2, w.rollback}, {15, func() { w.release(w.pick()) }}, {30, func() { w.probe(w.pick()) }},
		{15, func() { w.fetch(w.pick()) }}, {25, w.reap}, {6, func() { w.settle(w.pick()) }},
		{3, func() { s := w.pick(); s.up = !s.up }}, {2, func() { w.retire(w.pick()) }}, {6, w.skewClock}, {30, w.advance},
	}
	for _, e := range each {
		for range int(e.weight * math.Exp2(w.rng.Float64()*6-3)) { // none at all of the rare ones in some worlds
			w.deeds = append(w.deeds, e.do)
		}
	}
}

func (w *world) step() {
	w.n.steps++
	w.deeds[w.rng.IntN(len(w.deeds))]()
}

// commit makes a generation from the newest one: some objects go, some come or come back.
func (w *world) commit() {
	var next objects
	if len(w.gens) > 0 {
		next = w.of(w.newest())
	}
	for range 1 + w.rng.IntN(4) {
		i := w.rng.IntN(universe)
		next[i] = !next[i]
	}
	w.add(next)
}

func (w *world) rollback() {
	old := w.of(1 + w.rng.Int64N(w.newest()))
	for i, named := range old {
		if named && !w.present[i] {
			w.n.refused++
			return
		}
	}
	w.n.rollbacks++
	w.add(old)
}

func (w *world) add(next objects) {
	w.gens = append(w.gens, next)
	var gone []int
	for i := range universe {
		if next[i] {
			w.present[i] = true
		} else if len(w.gens) > 1 && w.gens[len(w.gens)-2][i] {
			gone = append(gone, i)
		}
	}
	if gone != nil {
		w.drops[w.newest()] = gone
	}
}

func (w *world) note(s *site, e ledger.Event, g int64) {
	r := ledger.Record{Time: w.clock(), Event: e, Gen: g}
	if e == ledger.Intent && w.rng.IntN(3) == 0 {
		w.n.wrong++
		r.Time = r.Time.Add(w.wrong())
	}
	s.log = ledger.Compact(append(s.log, r), 64, policy.Every)
}

// release writes the intent and may be cut off, fail, come late, or reach only
// some of the front ends.
func (w *world) release(s *site) {
	g := w.newest()
	if !s.up || slices.Equal(s.may, []int64{g}) {
		return
	}
	if s.retired { // it comes back empty
		s.retired, s.may = false, nil
	}
	w.note(s, ledger.Intent, g)
	switch w.rng.IntN(6) {
	case 0: // killed before the flip, or the flip failed
	case 1:
		w.n.late++
		s.coming = g
	case 2:
		w.n.lagging++
		s.may = append(s.may, g)
		w.flipped(g)
	default:
		w.flip(s, g)
	}
}

func (w *world) flip(s *site, g int64) {
	s.may, s.coming = []int64{g}, 0
	w.flipped(g)
}

func (w *world) flipped(g int64) {
	if w.keeps && (len(w.snaps) == 0 || w.snaps[len(w.snaps)-1].Number < g) {
		w.snaps = append(w.snaps, ledger.Generation{Number: g})
	}
}

// settle lets what is late happen.
func (w *world) settle(s *site) {
	if s.coming > 0 && !s.retired {
		if len(s.may) == 0 || s.coming > slices.Max(s.may) {
			w.flip(s, s.coming)
		}
		s.coming = 0
	} else if len(s.may) > 1 {
		s.may = []int64{slices.Max(s.may)}
	}
}

func (w *world) probe(s *site) {
	switch {
	case s.retired:
		w.note(s, ledger.Retired, 1)
	case s.up && len(s.may) > 0:
		w.note(s, ledger.Serves, slices.Min(s.may))
	}
}

func (w *world) fetch(s *site) {
	if !s.up || s.retired || len(s.may) == 0 {
		return
	}
	w.n.fetches++
	g := s.may[w.rng.IntN(len(s.may))]
	w.clients = append(w.clients, client{g, w.now.Add(hold)})
	w.promised(g, "just fetched")
}

func (w *world) retire(s *site) {
	if len(w.sites) == 1 || s.retired {
		return
	}
	w.n.retired++
	s.retired, s.coming = true, 0
	w.note(s, ledger.Retired, 1)
}

func (w *world) skewClock() {
	w.offset = time.Duration(w.rng.Int64N(int64(2*skew)+1)) - skew
}

// wrong is how far off an unchecked clock is.
func (w *world) wrong() time.Duration {
	scale := []time.Duration{time.Minute, tick / 4, 10 * tick, 1000 * tick}[w.rng.IntN(4)]
	return time.Duration((w.rng.Float64()*20 - 10) * float64(scale))
}

func (w *world) advance() {
	d := time.Duration(w.rng.Int64N(int64(2 * time.Hour)))
	switch w.rng.IntN(20) {
	case 0:
		d *= 20
	case 1, 2, 3:
		d /= 100
	}
	w.now = w.now.Add(d)
	w.forget()
}

func (w *world) store() ledger.Store {
	st := ledger.Store{Sites: map[string][]ledger.Record{}}
	for i, s := range w.sites {
		st.Sites[strconv.Itoa(i)] = s.log
	}
	for i, g := range w.snaps {
		if i == len(w.snaps)-1 {
			g.Superseded = time.Time{}
		}
		st.Snapshots = append(st.Snapshots, g)
	}
	return st
}

// reap deletes as a store does.
func (w *world) reap() {
	for i := range w.snaps[:max(len(w.snaps)-1, 0)] {
		if w.snaps[i].Superseded.IsZero() {
			w.snaps[i].Superseded = w.clock()
		}
	}
	st := w.store()
	w.snaps = slices.DeleteFunc(w.snaps, func(g ledger.Generation) bool {
		return g.Number != w.snaps[len(w.snaps)-1].Number && !g.Readable(w.clock(), policy.Keep)
	})
	later := objects{}
	for g := w.newest(); g > 0; g-- {
		due := false
		if len(w.drops[g]) > 0 {
			due, _ = st.Due(g, w.clock(), policy)
		}
		for _, x := range w.drops[g] {
			if due && !later[x] && !w.of(w.newest())[x] && w.present[x] {
				w.present[x] = false
				w.n.reaped++
			}
			later[x] = later[x] || !due
		}
		if due {
			delete(w.drops, g)
		}
	}
	w.check()
}

// check is the promise.
func (w *world) check() {
	for _, c := range w.clients {
		w.promised(c.gen, "held until "+c.until.Sub(w.now).String()+" from now")
	}
	for _, g := range w.snaps {
		w.promised(g.Number, "a readable snapshot")
	}
	for _, s := range w.sites {
		for _, g := range s.may {
			if !s.retired {
				w.promised(g, "served")
			}
		}
	}
}

func (w *world) promised(g int64, why string) {
	for i, named := range w.of(g) {
		if named && !w.present[i] {
			w.broken = fmt.Sprintf("object %d of generation %d is missing, which is %s; logs %v", i, g, why, w.store().Sites)
		}
	}
}

// calm lets everything go well until nothing may be left to wait.
func (w *world) calm() {
	w.offset = 0
	for range 3 + int((policy.Keep+policy.Wait)/tick) {
		for _, s := range w.sites {
			s.up = true
			w.settle(s)
			w.settle(s)
			if g := w.newest(); !s.retired && !slices.Equal(s.may, []int64{g}) {
				w.note(s, ledger.Intent, g)
				w.flip(s, g)
			}
			w.probe(s)
		}
		w.reap()
		w.now = w.now.Add(tick)
		w.forget()
	}
	w.reap()
	if len(w.drops) > 0 && w.broken == "" {
		w.broken = fmt.Sprintf("drops %v are still waiting; logs %v", w.drops, w.store().Sites)
	}
}

func (w *world) forget() {
	w.clients = slices.DeleteFunc(w.clients, func(c client) bool { return c.until.Before(w.now) })
}
