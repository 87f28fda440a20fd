package wheelcycle_test

import (
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/activities"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sdist"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/workflows"
)

// TestRealSources builds real source distributions on real roots in cycles, some
// that lack something among them. All build workers are
// killed in mid-fan-out. What was built is installed from the merged index alone,
// by pip and by uv, through this project's web server, nginx and Apache. A quiet
// cycle does nothing, and changed pins cost their own builds only.
func TestRealSources(t *testing.T) {
	rootlab.NeedSandbox(t)
	set, changed := rootlab.Set(t)
	m := newMill(t)
	m.uv = rootlab.UV(t, set)
	m.offer(set)
	pins := slices.Clone(rootlab.Sources)
	m.want(pins)
	m.serve()

	m.first(pins)
	m.right(pins)
	m.quiet()
	servers := m.servers()
	for name, url := range servers {
		m.asks(name, url)
		for _, p := range m.platforms() {
			m.install("pip", url, p, pins)
			if name != "Apache" {
				m.install("uv", url, p, pins)
			}
		}
	}

	m.offer(changed)
	pins = replaced(pins, rootlab.Changed)
	m.change(pins)
	for _, p := range m.platforms() {
		m.install("uv", servers["nginx"], p, pins)
	}
}

// first runs a cycle whose build workers are all killed when some builds are taken in and others under way.
func (m *mill) first(pins []string) {
	m.t.Helper()
	began := time.Now()
	victims := []*lab.Process{m.spawn(), m.spawn()}
	run := m.Start()
	lab.Await(m.t, "builds on both platforms", func() bool {
		for _, p := range m.platforms() {
			if len(m.taken(p)) < 3 || total(m.begun(p)) <= len(m.taken(p)) {
				return false
			}
		}
		return true
	})
	taken, begun := map[string][]string{}, map[string]int{}
	for _, p := range m.platforms() {
		taken[p] = m.taken(p)
	}
	for _, w := range victims {
		w.End(syscall.SIGKILL)
	}
	for _, p := range m.platforms() {
		begun[p] = total(m.begun(p))
	}
	m.t.Logf("killed after %s: taken in %v, begun %v", time.Since(began).Round(time.Second), taken, begun)
	m.spawn()
	var r workflows.CycleResult
	if err := run.Get(m.t.Context(), &r); err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("a cycle of %s: %+v", time.Since(began).Round(time.Second), r.Mirrors)
	if r.Mirrors[1].Outcome != workflows.Done {
		m.t.Fatalf("%+v", r.Mirrors[1])
	}
	for _, p := range m.platforms() {
		after := m.begun(p)
		for _, pin := range taken[p] {
			if after[pin] != 1 {
				m.t.Errorf("%s on %s was taken in before the workers died, and begun %d times", pin, p, after[pin])
			}
		}
		if twice := total(after) - len(after); twice > begun[p]-len(taken[p]) {
			m.t.Errorf("%s: %d builds were begun twice; %d were under way when the workers died", p, twice, begun[p]-len(taken[p]))
		}
	}
}

// right checks that every pin is in the state that it should be in.
func (m *mill) right(pins []string) {
	m.t.Helper()
	got, shared := m.states(), 0
	maps.DeleteFunc(got, func(_ string, s activities.WheelState) bool { return s.State == "elsewhere" })
	if want := len(rootlab.Sources) * len(m.platforms()); len(got) != want {
		m.t.Errorf("%d states, want %d", len(got), want)
	}
	for _, p := range m.platforms() {
		for _, pin := range pins {
			name, version, _ := strings.Cut(pin, "==")
			name = simpleindex.Normalize(name)
			s := got[p+" "+name+"==="+version]
			if s.From != "" {
				shared++
			}
			switch class := rootlab.Lacking[name]; {
			case class != "":
				m.failed(s, class)
			case s.State != "built" || !strings.HasSuffix(m.text(s.Log), "\n"):
				m.t.Errorf("%s on %s: %+v", pin, p, s)
			case slices.Contains(rootlab.Compiled, name) != strings.Contains(s.File, "linux"):
				m.t.Errorf("%s on %s is %s", pin, p, s.File)
			}
		}
	}
	if want := m.static(pins); shared != want {
		m.t.Errorf("%d wheels serve the platform that they were not built on, want %d", shared, want)
	}
}

// static counts the pins whose wheels one platform builds for all: without
// compiled code, of sources that promise the same dependencies everywhere.
func (m *mill) static(pins []string) (n int) {
	m.t.Helper()
	promise := m.promising(pins)
	for _, pin := range pins {
		name, _, _ := strings.Cut(pin, "==")
		name = simpleindex.Normalize(name)
		if promise[pin] && !slices.Contains(rootlab.Compiled, name) && rootlab.Lacking[name] == "" {
			n++
		}
	}
	return n
}

// promising tells the pins whose sources promise the same dependencies everywhere.
func (m *mill) promising(pins []string) map[string]bool {
	m.t.Helper()
	out := map[string]bool{}
	for _, pin := range pins {
		name, version, _ := strings.Cut(pin, "==")
		for _, o := range m.offered[simpleindex.Normalize(name)] {
			if o.Version == version && sdist.IsName(o.Filename) {
				out[pin] = m.promises(o)
			}
		}
	}
	return out
}

func (m *mill) promises(o lab.Object) bool {
	m.t.Helper()
	f, err := os.Create(filepath.Join(m.t.TempDir(), "source"))
	if err == nil {
		defer f.Close()
		_, err = f.Write(o.Data)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	needs, err := sdist.Read(f, o.Filename)
	return err == nil && needs.Static
}

func (m *mill) failed(s activities.WheelState, class string) {
	m.t.Helper()
	if s.State != "failed" || s.Class != class || s.Next.IsZero() || s.Log == "" || !strings.Contains(m.text(s.Log), s.Class) {
		m.t.Errorf("%+v, want class %s", s, class)
	}
	m.t.Logf("%s on %s: %s: %s", s.Pin, s.Platform, s.Class, s.Message)
}

// text is a file of the region.
func (m *mill) text(path string) string {
	m.t.Helper()
	resp, err := http.Get(m.Regions["here"].URL + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Errorf("%s: %s %v", path, resp.Status, err)
	}
	return string(data)
}

// quiet runs a cycle with nothing new.
func (m *mill) quiet() {
	m.t.Helper()
	before := m.builds()
	m.u.Hits() // from now on
	if r := m.Cycle(); r.Outcome != workflows.Unchanged {
		m.t.Errorf("a cycle with nothing new: %+v", r.Mirrors)
	}
	for path, n := range m.u.Hits() {
		if strings.Contains(path, "/packages/") {
			m.t.Errorf("a cycle with nothing new fetched %s %d times", path, n)
		}
	}
	if n := m.builds() - before; n != 0 {
		m.t.Errorf("a cycle with nothing new began %d builds", n)
	}
}

func (m *mill) builds() (n int) {
	for _, p := range m.platforms() {
		n += total(m.begun(p))
	}
	return n
}

// change runs a cycle after pins changed.
func (m *mill) change(pins []string) {
	m.t.Helper()
	before := map[string]int{}
	for _, p := range m.platforms() {
		before[p] = total(m.begun(p))
	}
	m.want(pins)
	m.u.Hits()
	if r := m.Cycle(); r.Mirrors[1].Outcome != workflows.Done {
		m.t.Errorf("a cycle with changed pins: %+v", r.Mirrors)
	}
	sources := 0
	for path := range m.u.Hits() {
		if strings.HasSuffix(path, ".tar.gz") {
			sources++
		}
	}
	if sources != len(rootlab.Changed) {
		m.t.Errorf("%d sources were fetched for %d changed pins", sources, len(rootlab.Changed))
	}
	for _, p := range m.platforms() {
		n := total(m.begun(p)) - before[p]
		m.t.Logf("%d changed pins: %d builds on %s", len(rootlab.Changed), n, p)
		if n > len(rootlab.Changed) || n == 0 {
			m.t.Errorf("%s: %d builds for %d changed pins", p, n, len(rootlab.Changed))
		}
	}
	m.right(pins)
}

// replaced is pins with the versions of changed.
func replaced(pins, changed []string) []string {
	out := slices.Clone(pins)
	for i, p := range out {
		name, _, _ := strings.Cut(p, "==")
		for _, c := range changed {
			if strings.HasPrefix(c, name+"==") {
				out[i] = c
			}
		}
	}
	return out
}
