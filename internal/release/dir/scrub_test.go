package dir_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// rotten is a region whose first scrub is done, so that the next one, a month
// later, reads everything.
type rotten struct {
	*testing.T
	region string
	src    *origin
	now    time.Time
	crash  func(string)
	lost   map[string]bool // contents that the source lacks, too
}

func rot(t *testing.T) *rotten {
	region, _ := setup(t)
	r := &rotten{T: t, region: region, now: begin, lost: map[string]bool{}}
	content := map[manifest.Digest]string{}
	index := object("dists/Packages", "index")
	index.Kind = manifest.Pointer
	all := []manifest.Entry{index, object("pool/a", "aaaa"), object("pool/b", "bb")}
	for _, data := range []string{"index", "aaaa", "bb", "c"} {
		content[sha256.Sum256([]byte(data))] = data
	}
	r.src = &origin{bytes: func(e manifest.Entry) []byte {
		if data := content[e.Digest]; !r.lost[data] {
			return []byte(data)
		}
		return []byte("?")
	}}
	r.src.next(t, entries(all...))
	r.publish()
	// The second view shares the damaged files of the first by hard links.
	r.src.next(t, entries(all[0], object("dists/c", "c"), all[1], all[2], object("pool/c", "c")))
	r.publish()
	if out := r.scrub(); out.Hashed != 0 {
		t.Fatalf("the first scrub: %+v", out)
	}
	r.now = r.now.Add(31 * 24 * time.Hour)
	return r
}

func (r *rotten) open() *dir.Region {
	return dir.New(dir.Options{Dir: r.region, Region: "dfw", Mirror: "demo", Tree: treeID, Now: func() time.Time { return r.now }, Crash: r.crash,
		Policy: backend.Policy{Grace: time.Hour, Keep: 1000 * time.Hour, Every: time.Hour}})
}

func (r *rotten) publish() {
	r.Helper()
	if _, err := r.open().Publish(r.Context(), r.src); err != nil {
		r.Fatal(err)
	}
}

func (r *rotten) scrub() backend.Scrubbed {
	r.Helper()
	out, err := r.open().Scrub(r.Context(), r.src)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// ruin writes over a file in place, as a failing disk does.
func (r *rotten) ruin(p string) {
	r.Helper()
	f, err := os.OpenFile(filepath.Join(r.region, "demo", p), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("###")
	}
	if err != nil || f.Close() != nil {
		r.Fatal(err)
	}
}

func (r *rotten) lose(p string) {
	r.Helper()
	if err := os.Remove(filepath.Join(r.region, "demo", p)); err != nil {
		r.Fatal(err)
	}
}

// whole compares what clients of the region read.
func (r *rotten) whole(at string) {
	r.Helper()
	for p, want := range map[string]string{"dists/Packages": "index", "pool/a": "aaaa", "pool/b": "bb"} {
		if got, err := os.ReadFile(filepath.Join(r.region, at, p)); string(got) != want {
			r.Errorf("%s/%s is %q, want %q, %v", at, p, got, want, err)
		}
	}
}

func TestDamagedFilesOfARegionComeBack(t *testing.T) {
	r := rot(t)
	r.ruin("dists/Packages")
	r.ruin("pool/a")
	r.lose("pool/b")
	out := r.scrub()
	slices.Sort(out.Mended)
	if want := []string{"dists/Packages", "pool/a", "pool/b"}; !slices.Equal(out.Mended, want) || len(out.Problems) > 0 || out.Hashed != 2 {
		t.Errorf("%+v, want %v mended and 2 bytes hashed", out, want)
	}
	r.whole("demo")
	for _, p := range []string{"dists/Packages", "pool/a"} {
		a, _ := os.ReadFile(filepath.Join(r.region, ".releases/demo/1", p))
		b, _ := os.ReadFile(filepath.Join(r.region, "demo", p))
		if string(a) != string(b) {
			t.Errorf("the view before has %q as %s", a, p)
		}
	}
	if out := r.scrub(); out.Hashed+int64(len(out.Mended)+len(out.Problems)) > 0 {
		t.Errorf("a scrub right after that: %+v", out)
	}
}

func TestWhatTheSourceLacksIsReportedUntilItIsWhole(t *testing.T) {
	r := rot(t)
	r.ruin("pool/a")
	r.lost["aaaa"] = true
	for range 3 {
		out := r.scrub()
		if len(out.Problems) != 1 || !strings.HasPrefix(out.Problems[0], "pool/a: ") || len(out.Mended) > 0 {
			t.Errorf("%+v, want one problem with pool/a", out)
		}
	}
	delete(r.lost, "aaaa")
	if out := r.scrub(); !slices.Equal(out.Mended, []string{"pool/a"}) || len(out.Problems) > 0 {
		t.Errorf("%+v, want pool/a mended", out)
	}
	r.whole("demo")
}

// TestLinksOfTheTreeAreTheTreesBusiness has a region that shares one damaged file with the tree.
func TestLinksOfTheTreeAreTheTreesBusiness(t *testing.T) {
	r := rot(t)
	r.src.dir = t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(r.src.dir, "pool"), 0o755),
		os.Link(filepath.Join(r.region, "demo/pool/a"), filepath.Join(r.src.dir, "pool/a"))); err != nil {
		t.Fatal(err)
	}
	r.ruin("pool/a")
	r.ruin("pool/b")
	if out := r.scrub(); !slices.Equal(out.Mended, []string{"pool/b"}) || len(out.Problems) > 0 {
		t.Errorf("%+v, want only pool/b mended", out)
	}
}

// stopped is what a crash point panics with.
type stopped struct{}

// TestKilledScrub kills a scrub at each of its points; the next one mends what is left.
func TestKilledScrub(t *testing.T) {
	var points []string
	for at := 0; at == 0 || at <= len(points); at++ {
		r := rot(t)
		r.ruin("dists/Packages")
		r.ruin("pool/a")
		r.lose("pool/b")
		n := 0
		r.crash = func(point string) {
			if n++; at == 0 {
				points = append(points, point)
			}
			if n == at {
				panic(stopped{})
			}
		}
		func() {
			defer func() {
				if p := recover(); p != nil && p != (stopped{}) {
					panic(p)
				}
			}()
			r.scrub()
		}()
		r.crash = nil
		if out := r.scrub(); len(out.Problems) > 0 {
			t.Errorf("killed at point %d: %+v", at, out)
		}
		r.whole("demo")
	}
	for _, want := range []string{"fetch", "mend", "move/pool", "put/demo", "move/demo"} {
		if !slices.Contains(points, want) {
			t.Errorf("no %s among %q", want, points)
		}
	}
}

// TestZombieScrub lets a scrub sleep at each of its points while another one does its work.
func TestZombieScrub(t *testing.T) {
	for at, last := 1, false; !last; at++ {
		r := rot(t)
		r.ruin("dists/Packages")
		r.ruin("pool/a")
		r.lose("pool/b")
		n := 0
		last = true
		m := r.open()
		m.Crash = func(string) {
			if n++; n == at {
				last = false
				r.scrub()
			}
		}
		_, err := m.Scrub(t.Context(), r.src)
		if !last && !errors.Is(err, fault.Fenced) && n > at {
			t.Errorf("asleep at point %d: %v, want fenced", at, err)
		}
		r.scrub()
		r.whole("demo")
	}
}
