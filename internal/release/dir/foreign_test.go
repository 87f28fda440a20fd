package dir_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// pair is a region with two mirrors: the pages of "wheels" name objects of "pypi".
type pair struct {
	t       *testing.T
	rng     *rand.Rand
	dir     string
	now     time.Time
	src     map[string]*origin
	names   map[string]map[int64][]string // objects of pypi that each generation of a mirror names
	left    map[int64]time.Time           // when a generation of wheels was last seen to be served
	depth   int                           // of interruptions
	spread  bool                          // interrupt at write boundaries
	refused int
	wide    int // see dir.Options
}

const (
	pairGrace = 3 * time.Hour
	pairKeep  = 5 * time.Hour
)

type killed struct{}

func newPair(t *testing.T, seed uint64) *pair {
	p := &pair{t: t, rng: rand.New(rand.NewPCG(seed, 7)), dir: filepath.Join(backendtest.Scratch(t), "dfw"), now: begin,
		src: map[string]*origin{}, names: map[string]map[int64][]string{"pypi": {}, "wheels": {}}, left: map[int64]time.Time{}, wide: int(seed % 2)}
	if err := dir.Setup(p.dir, "dfw"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"pypi", "wheels"} {
		p.src[m] = &origin{bytes: func(e manifest.Entry) []byte { return content[e.Digest] }}
	}
	return p
}

// content is the bytes behind digests of objects, which are named after what they hold.
var content = func() map[manifest.Digest][]byte {
	out := map[manifest.Digest][]byte{}
	for i := range 8 {
		data := []byte(fmt.Sprintf("packages/x%d", i))
		out[sha256.Sum256(data)] = data
	}
	return out
}()

// open opens a mirror. At its write boundaries anything may happen.
func (p *pair) open(mirror string) *dir.Region {
	o := dir.Options{Dir: p.dir, Region: "dfw", Mirror: mirror, Tree: treeID, Now: func() time.Time { return p.now },
		Policy: backend.Policy{Grace: pairGrace, Keep: pairKeep, Every: time.Hour}, Crash: p.interrupt, Wide: p.wide}
	if mirror == "pypi" {
		o.Referring = []string{"wheels"}
	}
	return dir.New(o)
}

// interrupt kills the run at a boundary, or lets it sleep there while others go on.
func (p *pair) interrupt(point string) {
	// Objects are fetched by goroutines of their own.
	if !p.spread || point == "fetch" || point == "fetched" || p.depth > 1 || p.rng.IntN(12) > 0 {
		return
	}
	p.depth++
	defer func() { p.depth-- }()
	for range p.rng.IntN(6) {
		p.step()
	}
	if p.rng.IntN(4) == 0 {
		panic(killed{})
	}
}

// try runs one operation; being killed, fenced or too early is no fault.
func (p *pair) try(what string, f func() error) {
	defer func() {
		if r := recover(); r != nil && r != (killed{}) {
			panic(r)
		}
	}()
	err := f()
	if errors.Is(err, fault.Early) {
		p.refused++
	}
	for _, k := range []fault.Kind{fault.Early, fault.Fenced, fault.Stale, fault.WrongStorage} {
		if errors.Is(err, k) {
			return
		}
	}
	if err != nil && p.depth == 0 && !p.spread {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// step is one thing that a cycle does, in any order.
func (p *pair) step() {
	mirror := []string{"pypi", "wheels"}[p.rng.IntN(2)]
	ctx := p.t.Context()
	switch p.rng.IntN(6) {
	case 0:
		p.seal(mirror)
	case 1, 2:
		p.try("publish "+mirror, func() error { _, err := p.open(mirror).Publish(ctx, &serial{origin: p.src[mirror]}); return err })
	case 3:
		if p.serves(mirror) == 0 {
			return
		}
		p.try("confirm "+mirror, func() error { return p.open(mirror).Confirm(ctx, "dfw", p.serves(mirror)) })
	case 4:
		p.try("reap "+mirror, func() error { _, err := p.open(mirror).Reap(ctx); return err })
	case 5:
		p.now = p.now.Add(time.Duration(p.rng.IntN(150)) * time.Minute)
	}
	p.check()
}

// seal makes the next generation of a mirror; that of wheels names what the newest of pypi has.
func (p *pair) seal(mirror string) {
	var has []string
	if mirror == "pypi" {
		for i := range 8 {
			if p.rng.IntN(2) == 0 {
				has = append(has, fmt.Sprintf("packages/x%d", i))
			}
		}
	} else {
		for _, x := range p.names["pypi"][p.src["pypi"].gen.Number] {
			if p.rng.IntN(3) > 0 {
				has = append(has, x)
			}
		}
	}
	var all []manifest.Entry
	for _, x := range has {
		e := object(x, x)
		if mirror == "wheels" {
			e.Kind, e.Path = manifest.Foreign, manifest.ForeignPath("pypi", x)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, manifest.Compare)
	src := p.src[mirror]
	src.next(p.t, entries(all...))
	src.gen.Mirror = mirror
	p.names[mirror][src.gen.Number] = has
}

func (p *pair) serves(mirror string) int64 {
	s, err := dir.Served(p.dir, mirror)
	if err != nil {
		return 0
	}
	return s.Number
}

// check asks as clients do whose page of wheels is younger than the grace, or a
// readable snapshot: is all that it names there?
func (p *pair) check() {
	if n := p.serves("wheels"); n > 0 {
		p.left[n] = p.now
	}
	readable := map[int64]bool{}
	links, _ := os.ReadDir(filepath.Join(p.dir, ".releases/wheels"))
	for _, l := range links {
		var n int64
		fmt.Sscan(l.Name(), &n)
		if n <= p.serves("wheels") { // above it is a dead attempt, which clients do not know of
			readable[n] = true
		}
	}
	for n, at := range p.left {
		if p.now.Sub(at) < pairGrace {
			readable[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(readable)) {
		for _, x := range p.names["wheels"][n] {
			if _, err := os.Stat(filepath.Join(p.dir, "pypi", x)); err != nil {
				p.t.Fatalf("clients may hold generation %d of wheels, which names %s: %v", n, x, err)
			}
		}
	}
}

// TestObjectsOfAnotherMirror releases two mirrors in any order, with drops,
// re-adds, deaths and late comers at any boundary. No page that a client may
// hold names an object that is gone; and in the end all that is dropped goes.
func TestObjectsOfAnotherMirror(t *testing.T) {
	refused := 0
	for seed := range uint64(24) {
		p := newPair(t, seed)
		p.spread = seed%2 == 1
		for range 250 {
			p.step()
		}
		refused += p.refused
		p.settle()
	}
	if refused == 0 {
		t.Error("no release had to wait for the other mirror")
	}
}

// settle lets cycles without anything new go by: what nobody names goes.
func (p *pair) settle() {
	p.t.Helper()
	p.spread = false
	p.seal("pypi")
	p.seal("wheels")
	for range 30 {
		for _, m := range []string{"pypi", "wheels"} {
			if _, err := p.open(m).Publish(p.t.Context(), &serial{origin: p.src[m]}); err != nil {
				p.t.Fatal(err)
			}
			if err := p.open(m).Confirm(p.t.Context(), "dfw", p.serves(m)); err != nil {
				p.t.Fatal(err)
			}
			if _, err := p.open(m).Reap(p.t.Context()); err != nil {
				p.t.Fatal(err)
			}
		}
		p.now = p.now.Add(time.Hour)
		p.check()
	}
	files, err := backendtest.Files(filepath.Join(p.dir, "pypi"))
	if err != nil {
		p.t.Fatal(err)
	}
	if want := len(p.names["pypi"][p.serves("pypi")]); len(files) != want {
		p.t.Fatalf("in the end pypi holds %d files, its generation names %d", len(files), want)
	}
}

// TestSleepBeforeTheFlip lets a release of wheels sleep at each of its write
// boundaries for longer than the grace, while pypi lets go of all that it names.
func TestSleepBeforeTheFlip(t *testing.T) {
	slept := true
	for k := 0; slept; k++ {
		p := newPair(t, 1)
		p.src["pypi"].next(t, entries(object("packages/x1", "packages/x1")))
		p.names["pypi"][1] = []string{"packages/x1"}
		p.src["pypi"].gen.Mirror = "pypi"
		p.cycle("pypi")
		e := object(manifest.ForeignPath("pypi", "packages/x1"), "packages/x1")
		e.Kind = manifest.Foreign
		p.src["wheels"].next(t, entries(e))
		p.src["wheels"].gen.Mirror = "wheels"
		p.names["wheels"][1] = []string{"packages/x1"}
		at := 0
		slept = false
		m := p.open("wheels")
		m.Crash = func(string) {
			if at++; at == k+1 {
				slept = true
				p.src["pypi"].next(t, entries(object("packages/x2", "packages/x2")))
				p.src["pypi"].gen.Mirror = "pypi"
				for range 12 {
					p.cycle("pypi")
					p.now = p.now.Add(time.Hour)
				}
			}
		}
		if _, err := m.Publish(t.Context(), p.src["wheels"]); err != nil && !errors.Is(err, fault.Early) {
			t.Fatal(err)
		}
		p.check()
	}
}

func (p *pair) cycle(mirror string) {
	p.t.Helper()
	_, err := p.open(mirror).Publish(p.t.Context(), &serial{origin: p.src[mirror]})
	if err == nil {
		err = p.open(mirror).Confirm(p.t.Context(), "dfw", p.serves(mirror))
	}
	if err == nil {
		_, err = p.open(mirror).Reap(p.t.Context())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
