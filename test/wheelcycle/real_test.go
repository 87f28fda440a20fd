package wheelcycle_test

import (
	"crypto/sha256"
	"fmt"
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

// servers are URLs of the region, by who serves it.
func (m *mill) servers() map[string]string {
	m.t.Helper()
	m.open(m.Dir) // their processes run as another user
	dir := filepath.Join(m.Dir, "regions", "here")
	return map[string]string{"this project": m.Regions["here"].URL, "nginx": lab.Nginx(m.t, dir), "Apache": lab.Apache(m.t, dir)}
}

// open lets every user pass a temporary directory.
func (m *mill) open(dir string) {
	m.t.Helper()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
}

// asks compares a web server's answers with those of this project's own.
func (m *mill) asks(name, url string) {
	m.t.Helper()
	p := m.platforms()[0]
	for _, path := range []string{"/wheels/" + p + "/simple/", "/wheels/" + p + "/simple/six/", "/wheels/" + p + "/simple/six", "/wheels/" + p + "/simple/setuptools/",
		"/wheels/" + p + "/simple/setuptools", "/wheels/" + p + "/simple/nothing/", "/wheels/" + p + "/simple/.hidden/", "/wheels/none/simple/six/", "/wheels/none/",
		"/wheels/packages/none.whl", "/pypi/" + p + "/simple/six/", "/wheels/" + p + "/logs/six-1.17.0.log", "/.releases/wheels/pypi/packages/none", "/.releases/wheels/pypi/x"} {
		want, got := m.ask(m.Regions["here"].URL+path), m.ask(url+path)
		if got != want {
			m.t.Errorf("%s: %s says %s, this project %s", path, name, got, want)
		}
	}
}

// ask describes an answer, after all redirects.
func (m *mill) ask(url string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Accept", simpleindex.MediaV1JSON)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return "no" // 403 or 404: contents of directories are nobody's business
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %x", resp.Request.URL.Path, strings.TrimSuffix(resp.Header.Get("Content-Type"), "; charset=utf-8"), sha256.Sum256(data))
}

// modules are what tells that a project's wheel is whole.
var modules = map[string]string{"markupsafe": "markupsafe._speedups", "pyyaml": "yaml", "msgpack": "msgpack._cmsgpack", "sqlalchemy": "sqlalchemy",
	"wrapt": "wrapt._wrappers", "psutil": "psutil._psutil_linux", "bitarray": "bitarray", "jinja2": "jinja2", "six": "six", "idna": "idna", "docutils": "docutils"}

// install makes a fresh environment in the platform's root and installs what was
// built, with pip or uv, from the merged index and nothing else. A project that
// the wheels mirror has no page of comes from its index mirror.
func (m *mill) install(client, url, platform string, pins []string) {
	m.t.Helper()
	var names []string
	imports := "setuptools"
	for _, p := range pins {
		name, _, _ := strings.Cut(p, "==")
		if name = simpleindex.Normalize(name); rootlab.Lacking[name] == "" {
			names = append(names, p)
			if module := modules[name]; module != "" {
				imports += ", " + module
			}
		}
	}
	installer := map[string]string{"pip": "/tmp/v/bin/pip install --quiet --no-cache-dir", "uv": "/opt/uv pip install --quiet --no-cache --python /tmp/v/bin/python"}[client]
	script := "python3 -m venv /tmp/v\n" + installer + " --no-deps --only-binary :all: --index-url " + url + "/wheels/" + platform + "/simple/ " + strings.Join(names, " ") +
		" setuptools\n/tmp/v/bin/python -c 'import " + imports + "'\n"
	began := time.Now()
	if out, err := rootlab.Enter(m.roots[platform], script, map[string]string{"/opt/uv": m.uv}).CombinedOutput(); err != nil {
		m.t.Errorf("%s on %s from %s: %v\n%s", client, platform, url, err, out)
		return
	}
	m.t.Logf("%s installed %d wheels on %s in %s", client, len(names), platform, time.Since(began).Round(time.Millisecond))
}
