package afscycle_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/demo"
)

// quarantines are the projects that the demo quarantines within so many steps.
func quarantines(t *testing.T, steps int) map[string]bool {
	t.Helper()
	u, err := demo.New(demo.Options{})
	must(t, err)
	names := map[string]bool{}
	for range steps {
		must(t, u.Step())
		if _, name, ok := strings.Cut(u.Describe(), "; "); ok && strings.HasSuffix(name, " is quarantined") {
			names[normalised(strings.TrimSuffix(name, " is quarantined"))] = true
		}
	}
	return names
}

func normalised(name string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(name, "-"))
}

// maxSteps is how often upstream changes at most, so that some projects are never quarantined.
const maxSteps = 60

// TestARealCycle mirrors an upstream that changes all the time into three sites,
// while clients of all regions read, a file server loses its power, and a worker
// is killed in the middle of a release.
func TestARealCycle(t *testing.T) {
	w := newWorld(t)
	first := w.work()
	w.good(w.settled())
	w.record("first")
	names := projects(t, quarantines(t, maxSteps))
	all := w.clients(names)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var loops sync.WaitGroup
	for _, c := range all {
		loops.Go(func() {
			for ctx.Err() == nil && c.round(ctx) {
				select { // without a rest, nine of them leave the cell too little of the machine
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
	}
	t.Cleanup(loops.Wait)
	t.Cleanup(cancel)

	for range 2 {
		w.change()
		w.good(w.settled())
	}
	dropped := w.dropped()
	w.outage(all)
	w.takeover(first)
	w.purged(dropped)

	cancel()
	loops.Wait()
	for _, c := range all {
		t.Logf("%s: %d rounds, %d excused", c.name, c.rounds, len(c.excused))
		for _, e := range c.excused {
			t.Logf("excused: %s", strings.ReplaceAll(e, "\n", "\n    "))
		}
		for _, b := range c.broken {
			t.Errorf("%s: %s", c.name, b)
		}
		if c.rounds < 3 {
			t.Errorf("%s: only %d rounds succeeded", c.name, c.rounds)
		}
	}
	w.controls(all)
	w.unmounted(dropped)
}

func (w *world) clients(names []string) []*reader {
	var all []*reader
	for _, p := range places {
		all = append(all, aptClient(w, p), pipClient(w, p, names))
		if c := uvClient(w, p, names); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// outage takes the power from one site for a cycle.
func (w *world) outage(all []*reader) {
	w.t.Helper()
	out := places[1]
	power := func(off bool) {
		for _, c := range all {
			if c.p == out {
				c.off(off)
			}
		}
	}
	power(true)
	w.cell.Stop(w.t, out.server)
	w.change()
	w.good(w.settled(out.name), out.name)
	w.record("outage")
	w.cell.Start(w.t, out.server)
	w.change()
	w.back = out.name
	w.good(w.settled())
	w.back = ""
	power(false)
}

// takeover kills the worker when it has just started vos, and lets another one finish.
func (w *world) takeover(first *worker) {
	w.t.Helper()
	first.stop()
	victim := w.work("MIRRORCYCLE_TEST_CRASH=release/started:1")
	w.change()
	run := w.start()
	select {
	case <-victim.ended:
	case <-time.After(3 * time.Minute):
		w.t.Fatal("the worker was not killed: no release began")
	}
	w.work()
	w.await(run)
	w.good(w.settled()) // nothing is new: what the second worker left undone would show
}

// drop is a package that upstream let go: by this path, since this time.
type drop struct {
	path  string
	since time.Time
}

var letGo = regexp.MustCompile(`^apt: (\S+) .*?([0-9.]+-[0-9]+) is dropped`)

// dropped lets upstream go on until the mirror drops a package, which is still there.
func (w *world) dropped() drop {
	w.t.Helper()
	for range 10 {
		since := time.Now()
		must(w.t, w.demo.Step())
		said := w.demo.Describe()
		w.good(w.settled())
		m := letGo.FindStringSubmatch(said)
		if m == nil {
			continue
		}
		files, err := filepath.Glob(w.cell.Path(afslab.Writer, w.volumes["debian"].RW) + "/pool/main/*/" + m[1] + "/" + m[1] + "_" + m[2] + "_*.deb")
		if err != nil || len(files) != 1 {
			w.t.Fatalf("%s: the mirror has %v (%v)", said, files, err)
		}
		_, p, _ := strings.Cut(files[0], w.volumes["debian"].RW)
		return drop{path: "/debian" + p, since: since}
	}
	w.t.Fatal("upstream lets nothing go")
	return drop{}
}

// purged runs cycles until a dropped package is gone from all regions, which it may not be before its time.
func (w *world) purged(d drop) {
	w.t.Helper()
	for range 15 {
		w.change()
		w.good(w.settled())
		gone := 0
		for _, p := range places {
			switch status := w.status(p, d.path); {
			case status == http.StatusNotFound && time.Since(d.since) < grace:
				w.t.Fatalf("%s is gone from %s %s after it was dropped", d.path, p.name, time.Since(d.since))
			case status == http.StatusNotFound:
				gone++
			case status != http.StatusOK && status != http.StatusServiceUnavailable:
				w.t.Fatalf("%s in %s: status %d", d.path, p.name, status)
			}
		}
		if gone == len(places) {
			w.t.Logf("%s is gone %.0f s after it was dropped", d.path, time.Since(d.since).Seconds())
			return
		}
	}
	w.t.Errorf("%s is never deleted", d.path)
}

// status asks a region's web server from its own host.
func (w *world) status(p place, name string) int {
	w.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return w.cell.Dial(ctx, p.web, addr) }}
	resp, err := (&http.Client{Transport: transport, Timeout: 2 * time.Minute}).Get(w.url(p) + name)
	must(w.t, err)
	resp.Body.Close()
	return resp.StatusCode
}

// unmounted: where a web server's AFS is not mounted, it says that for nothing that it is not there.
func (w *world) unmounted(d drop) {
	w.t.Helper()
	asks := func(when string, index, gone int) {
		w.t.Helper()
		got := [2]int{w.status(places[2], "/debian/dists/demo/InRelease"), w.status(places[2], d.path)}
		if got != [2]int{index, gone} {
			w.t.Errorf("%s: an index and a package that is gone are %d, want %d and %d", when, got, index, gone)
		}
	}
	asks("mounted", http.StatusOK, http.StatusNotFound)
	w.cell.Unmount(w.t, places[2].web)
	asks("not mounted", http.StatusServiceUnavailable, http.StatusServiceUnavailable)
}

// controls show that the loops would notice: a package and a wheel that the
// lists name are taken from the volume by hand, and released.
func (w *world) controls(all []*reader) {
	w.t.Helper()
	ctx := w.t.Context()
	for _, c := range all {
		named, err := c.lists(ctx)
		must(w.t, err)
		must(w.t, c.fetch(ctx, named))
	}
	for name, pattern := range map[string]string{"debian": "/pool/main/*/demo-notes/*.deb", "pypi": "/packages/*/*/*/demo_abacus*.whl"} {
		v := w.volumes[name]
		_, err := w.cell.On(afslab.Writer, "sh", "-c", "ls "+v.RW+pattern+" && rm "+v.RW+pattern)
		must(w.t, err, v.Release())
	}
	for _, p := range places { // a client may have lost its site by this release
		if w.status(p, "/debian/.mirror/generation.json") != http.StatusOK || w.status(p, "/pypi/.mirror/generation.json") != http.StatusOK {
			w.cell.Remount(w.t, p.web)
		}
	}
	var rounds sync.WaitGroup
	for _, c := range all {
		rounds.Go(func() { c.round(ctx) })
	}
	rounds.Wait()
	for _, c := range all {
		switch n := len(c.broken); {
		case n == 0:
			w.t.Errorf("%s did not notice that a file is missing", c.name)
		case !strings.Contains(c.broken[n-1], "404"):
			w.t.Errorf("%s failed for another reason: %s", c.name, c.broken[n-1])
		}
	}
}
