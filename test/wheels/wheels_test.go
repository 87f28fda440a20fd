// Package wheels_test weaves builds of wheels into cycles on a real Temporal server.
package wheels_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"mirrorcycle/activities"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

var record = flag.String("record", "", "write histories named after this version into workflows/testdata")

// The environment of a build worker that is a process of its own.
const workerEnv, dirEnv = "MIRRORCYCLE_TEST_ROLES", "MIRRORCYCLE_TEST_BUILDER"

func TestMain(m *testing.M) {
	if roles := os.Getenv(workerEnv); roles != "" {
		if err := work(roles, builder{os.Getenv(dirEnv)}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	lab.Main(m)
}

func work(list string, b builder) error {
	roles, err := service.ParseRoles(list)
	if err != nil {
		return err
	}
	c, err := service.Dial(context.Background(), client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS"), Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	return service.Run(context.Background(), service.Options{Client: c, Roles: roles, Permit: activities.Anything(), Builder: b})
}

// builder makes wheels without building anything: what a project is called says
// what becomes of it. It notes every build in <dir>/<platform>/begun, and does not end
// one of a name that begins with "held" while <dir>/hold is there.
type builder struct{ dir string }

func (b builder) Describe(_ context.Context, p mirrorspec.Platform, _ string) (wheel.Platform, error) {
	python := p.Python
	if other, err := os.ReadFile(filepath.Join(b.dir, p.Name+".python")); err == nil { // its root got another one
		python = string(other)
	}
	return wheel.Platform{Python: python, Machine: "x86_64", Libc: "glibc", Version: "2.36"}, nil
}

func (b builder) Build(ctx context.Context, r activities.BuildRequest) (activities.Delivered, error) {
	if err := b.note(r.Platform.Name, r.Job.Pin.String()); err != nil {
		return activities.Delivered{}, err
	}
	if source, err := os.ReadFile(r.Source); err != nil || sum(source) != r.Job.SHA256 {
		return activities.Delivered{Class: wheels.BadSource, Message: fmt.Sprint("other bytes: ", err)}, nil
	}
	for strings.HasPrefix(r.Job.Name, "held") {
		if _, err := os.Stat(filepath.Join(b.dir, "hold")); errors.Is(err, os.ErrNotExist) {
			break
		}
		select {
		case <-ctx.Done():
			return activities.Delivered{}, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond): // the test's own event is a file
		}
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "build.log"), []byte("log of "+r.Job.File+"\n"), 0o644); err != nil {
		return activities.Delivered{}, err
	}
	if strings.HasPrefix(r.Job.Name, "broken") {
		return activities.Delivered{Class: "compile", Message: "no such header", Log: "build.log"}, nil
	}
	tags := "py3-none-any"
	if !strings.HasPrefix(r.Job.Name, "pure") {
		python := "cp" + strings.ReplaceAll(r.Facts.Python, ".", "")
		tags = python + "-" + python + "-linux_x86_64"
	}
	file, data := enginetest.Wheel(r.Job.Name, r.Job.Version, tags)
	return activities.Delivered{File: file, SHA256: sum(data), Log: "build.log"}, os.WriteFile(filepath.Join(r.Dir, file), data, 0o644)
}

func (b builder) note(platform, pin string) error {
	f, err := os.OpenFile(filepath.Join(b.dir, platform+".begun"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(pin + "\n")
	return errors.Join(err, f.Close())
}

// begun counts the builds that were begun of each pin.
func (b builder) begun(t *testing.T, platform string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, platform+".begun"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	out := map[string]int{}
	for pin := range strings.FieldsSeq(string(data)) {
		out[pin]++
	}
	return out
}

func total(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// mill is a house with a wheels mirror of two platforms.
type mill struct {
	*lab.House
	t       *testing.T
	u       *lab.Upstream
	b       builder
	dir     string // of requirements and constraints
	sources map[string][]string
}

// sdist publishes source distributions of a project.
func (m *mill) sdist(name string, versions ...string) {
	var all []lab.Object
	m.sources[name] = versions
	for _, v := range versions {
		file := name + "-" + v + ".tar.gz"
		all = append(all, lab.Object{Filename: file, Version: v, Data: m.source(name, v)})
	}
	m.u.Objects(name, all...)
}

// source is an sdist that promises the same dependencies on every platform.
func (m *mill) source(name, version string) []byte {
	m.t.Helper()
	path, _ := rootlab.SDist(m.t, name, version, map[string]string{"PKG-INFO": "Metadata-Version: 2.2\nName: " + name + "\nVersion: " + version + "\n"})
	data, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// page returns the files that a client finds on a project's page, with the mirror that has each.
func (m *mill) page(platform, project string) map[string]string {
	m.t.Helper()
	resp := m.get("/wheels/" + platform + "/simple/" + project + "/")
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s of %s: %s %v", project, platform, resp.Status, err)
	}
	p, err := simpleindex.ParseProject(data, project, resp.Request.URL.String())
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range p.Files {
		file, err := http.Get(f.URL)
		if err != nil || file.StatusCode != http.StatusOK {
			m.t.Errorf("%s is named and not served: %v", f.URL, err)
			continue
		}
		body, err := io.ReadAll(file.Body)
		file.Body.Close()
		if err != nil || sum(body) != f.SHA256 {
			m.t.Errorf("%s has other bytes than its page says (%v)", f.URL, err)
		}
		out[f.Filename] = strings.Split(file.Request.URL.Path, "/")[1]
	}
	return out
}

func (m *mill) get(path string) *http.Response {
	m.t.Helper()
	req, err := http.NewRequest(http.MethodGet, m.Regions["here"].URL+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Accept", simpleindex.MediaV1JSON)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp
}

func (m *mill) text(path string) string {
	m.t.Helper()
	resp := m.get(path)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return string(data)
}

func newMill(t *testing.T, o lab.Options) *mill { return newMillOf(t, o, `projects = ["*"]`) }

// newMillOf lets the index mirror have what selection says.
// and the spec of the wheels mirror more keys.
func newMillOf(t *testing.T, o lab.Options, selection string, keys ...string) *mill {
	t.Helper()
	m := &mill{t: t, u: lab.NewUpstream(t), b: builder{t.TempDir()}, dir: t.TempDir(), sources: map[string][]string{}}
	id := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + fmt.Sprint(os.Getpid())
	o.Regions, o.Builder = []string{"here"}, m.b
	o.Mirrors = strings.Replace(m.u.PyPIMirror("pypi", "1s"), `projects = ["*"]`, selection, 1) + fmt.Sprintf(`[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = %q
constraints = %q
grace = "1s"
sandbox = "none"
build-timeout = "1m"
platforms = [{ name = "d12-%s", root = "/srv/roots/none", python = "3.11" }, { name = "d13-%s", root = "/srv/roots/none", python = "3.13" }]
%s
`, filepath.Join(m.dir, "requirements.txt"), filepath.Join(m.dir, "constraints.txt"), id, id, strings.Join(keys, "\n"))
	m.House = lab.New(t, o)
	return m
}

func (m *mill) platforms() []string {
	var out []string
	for _, p := range m.Spec.Mirrors[1].Platforms {
		out = append(out, p.Name)
	}
	return out
}

// TestCyclesBuildWhatIsWanted runs cycles over two platforms: a first one, one
// without anything new, and one with changed pins.
func TestCyclesBuildWhatIsWanted(t *testing.T) {
	t.Parallel()
	m := newMill(t, lab.Options{})
	for _, name := range []string{"pure-a", "pure-b", "pure-c", "pure-d", "pure-e", "native", "broken"} {
		m.sdist(name, "1.0")
	}
	m.u.Objects("there", lab.Object{Filename: "there-1.0.tar.gz", Version: "1.0", Data: []byte("there")}, wheelObject("there", "1.0"))
	m.u.Objects("other", wheelObject("other", "3.0"))
	same := []string{"pure-a===1.0", "pure-c===1.0", "pure-d===1.0", "pure-e===1.0"}
	m.want(append(slices.Clip(same), "pure-b===1.0", "native===1.0", "broken===1.0", "there===1.0", "missing===1.0")...)
	r := m.Cycle()
	histories := lab.Recording{Client: m.Client, Version: *record, Dir: filepath.Dir(m.Dir)}
	histories.Save(t, "cycle-first", m.CycleID())
	histories.Save(t, "wheels", workflows.WheelsID(m.tree("wheels"), m.platforms()[0]))
	// One pin has no source: that is told once, and known in the cycles after.
	if r.Mirrors[0].Outcome != workflows.Done || r.Mirrors[1].Outcome != workflows.Partial || len(r.Mirrors[1].Deferred) != 1 || r.Mirrors[1].Deferred[0].Unit != "missing===1.0" {
		t.Fatalf("%+v", r)
	}
	built := map[string]int{}
	for i, p := range m.platforms() {
		w := r.Mirrors[1].Wheels[i]
		if w.Failed != 1 || w.Error != "" || w.Builds != 0 || w.Waiting != 0 {
			t.Errorf("%+v", w)
		}
		python := []string{"cp311", "cp313"}[i]
		if got := m.page(p, "native"); got["native-1.0-1mc-"+python+"-"+python+"-linux_x86_64.whl"] != "wheels" || got["native-1.0.tar.gz"] != "pypi" {
			t.Errorf("%s: %v", p, got)
		}
		if got := m.page(p, "pure-a"); got["pure_a-1.0-1mc-py3-none-any.whl"] != "wheels" {
			t.Errorf("%s: %v", p, got)
		}
		if got := m.page(p, "other"); len(got) != 1 || got["other-3.0-py3-none-any.whl"] != "pypi" {
			t.Errorf("%s: %v", p, got)
		}
		if got := m.text("/wheels/" + p + "/logs/broken-1.0.log"); got != "log of broken-1.0.tar.gz\n" {
			t.Errorf("log %q", got)
		}
		for pin, n := range m.b.begun(t, p) {
			built[pin] += n
		}
	}
	if want := map[string]int{"pure-a===1.0": 1, "pure-b===1.0": 1, "pure-c===1.0": 1, "pure-d===1.0": 1, "pure-e===1.0": 1, "native===1.0": 2, "broken===1.0": 2}; !maps.Equal(built, want) {
		t.Errorf("built %v, want %v", built, want)
	}

	m.u.Hits() // from now on
	r = m.Cycle()
	if r.Outcome != workflows.Unchanged {
		t.Errorf("a second cycle: %+v", r)
	}
	for _, p := range m.platforms() {
		if got := total(m.b.begun(t, p)); got > 7 {
			t.Errorf("%s: %d builds after a second cycle", p, got)
		}
	}
	for path, n := range m.u.Hits() {
		if strings.HasSuffix(path, ".tar.gz") {
			t.Errorf("a second cycle fetched %s %d times", path, n)
		}
	}

	before := map[string]int{}
	for _, p := range m.platforms() {
		before[p] = total(m.b.begun(t, p))
	}
	m.sdist("native", "1.0", "2.0")
	m.sdist("pure-b", "1.0", "1.1")
	m.want(append(same, "pure-b===1.1", "native===2.0", "broken===1.0", "there===1.0")...)
	if r = m.Cycle(); r.Mirrors[1].Outcome != workflows.Done {
		t.Fatalf("%+v", r)
	}
	for _, p := range m.platforms() {
		if n := total(m.b.begun(t, p)) - before[p]; n > 2 {
			t.Errorf("%s: %d builds for two changed pins", p, n)
		}
		got := m.page(p, "pure-b")
		if got["pure_b-1.1-1mc-py3-none-any.whl"] != "wheels" || got["pure_b-1.0-1mc-py3-none-any.whl"] != "" {
			t.Errorf("%s: %v", p, got)
		}
	}
}

// TestIndexFollowsWants lets the index mirror have what the wheels mirror wants
// and what its builds need, from the first cycle on.
func TestIndexFollowsWants(t *testing.T) {
	t.Parallel()
	m := newMillOf(t, lab.Options{}, `requirements = ["wheels"]`)
	for _, name := range []string{"pure-a", "native", "unwanted"} {
		file, _ := rootlab.SDist(t, name, "1.0", map[string]string{"setup.py": "", "pyproject.toml": "[build-system]\nrequires = [\"backend>=2\"]\n"})
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m.u.Objects(name, lab.Object{Filename: filepath.Base(file), Version: "1.0", Data: data})
	}
	m.u.Objects("backend", wheelObject("backend", "1.0"), wheelObject("backend", "2.1"))
	m.want("pure-a===1.0", "native===1.0", "missing===1.0")
	if r := m.Cycle(); r.Mirrors[0].Outcome != workflows.Partial || len(r.Mirrors[0].Deferred) != 1 || r.Mirrors[0].Deferred[0].Unit != "missing" {
		t.Errorf("the first cycle without a requirement: %+v", r.Mirrors[0])
	}
	for range 2 { // what builds need may be known only when the sources are there
		m.Cycle()
	}
	for _, p := range m.platforms() {
		if got := m.page(p, "native"); len(got) != 2 {
			t.Errorf("%s: %v", p, got)
		}
		if got := m.page(p, "backend"); got["backend-2.1-py3-none-any.whl"] != "pypi" {
			t.Errorf("what builds need: %v", got)
		}
	}
	if resp := m.get("/pypi/simple/unwanted/"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a project that nobody wants: %s", resp.Status)
	}
	if r := m.Cycle(); r.Outcome != workflows.Unchanged || len(r.Mirrors[0].Deferred) != 1 || !r.Mirrors[0].Deferred[0].Known {
		t.Errorf("a quiet cycle, in which a requirement lacks as before: %+v", r.Mirrors)
	}
	m.want("pure-a===1.0", "native===1.0", "missing===1.0", "another===2.0")
	if r := m.Cycle(); r.Mirrors[0].Outcome != workflows.Partial || len(r.Mirrors[0].Deferred) != 2 || r.Mirrors[0].Deferred[0].Unit != "another" {
		t.Errorf("a cycle in which one more lacks: %+v", r.Mirrors[0])
	}
}

// TestCommands looks at states, skips and retries with the command itself.
func TestCommands(t *testing.T) {
	t.Parallel()
	m := newMill(t, lab.Options{})
	m.sdist("pure", "1.0")
	m.sdist("native", "1.0")
	m.sdist("broken", "1.0")
	m.u.Objects("there", wheelObject("there", "1.0"))
	m.want("native===1.0", "broken===1.0", "there===1.0", "pure===1.0")
	m.Cycle()
	d12 := m.platforms()[0]
	if got := m.starter("wheels", "--platform", d12); !strings.Contains(got, "broken===1.0  failed") || !strings.Contains(got, d12+": 2 built") ||
		!strings.Contains(got, "native-1.0-1mc-cp311-cp311-linux_x86_64.whl") || !strings.Contains(got, "there===1.0   upstream") {
		t.Errorf("states:\n%s", got)
	}
	if got := m.states("--failed"); len(got) != 2 || got[0].Class != "compile" || got[0].Attempts != 1 || m.text(got[0].Log) != "log of broken-1.0.tar.gz\n" {
		t.Errorf("failed: %+v", got)
	}
	m.starter("wheels", "skip", "native==1.0", "--platform", d12, "--reason", "it crashes", "--until", "14d")
	m.starter("wheels", "skip", "broken===1.0", "--reason", "needs a header")
	if r := m.Cycle(); r.Mirrors[1].Outcome != workflows.Done {
		t.Errorf("%+v", r)
	}
	if got := m.page(d12, "native"); len(got) != 1 {
		t.Errorf("a skipped wheel is still on the index: %v", got)
	}
	if got := m.page(m.platforms()[1], "native"); len(got) != 2 {
		t.Errorf("skipped on another platform too: %v", got)
	}
	m.starter("wheels", "retry", "native===1.0")
	m.Cycle()
	if got := m.page(d12, "native"); len(got) != 2 {
		t.Errorf("after retry: %v", got)
	}
	if n := m.b.begun(t, d12)["native===1.0"]; n != 1 {
		t.Errorf("a wheel that was kept was built again: %d", n)
	}
	for _, s := range m.states() {
		if s.Pin == "broken===1.0" && (s.State != "skipped" || s.Reason != "needs a header") {
			t.Errorf("%+v", s)
		}
	}
	for _, wrong := range [][]string{{"retry", "nobody===1"}, {"retry", "native"}, {"retry", "native===1.0", "--platform", "x"}, {"skip", "native===1.0"},
		{"skip", "native===1.0", "--reason", "x", "--until", "yesterday"}} {
		if out, err := m.command(append([]string{"wheels"}, wrong...)...).CombinedOutput(); err == nil {
			t.Errorf("%v succeeded: %s", wrong, out)
		}
	}
}

func (m *mill) command(args ...string) *exec.Cmd {
	c := exec.Command(lab.Program(m.t, "starter"), args...)
	c.Env = append(lab.Environ(), "TEMPORAL_ADDRESS="+m.Address, "MIRRORCYCLE_SPEC="+filepath.Join(m.Dir, "mirrors.toml"))
	return c
}

func (m *mill) starter(args ...string) string {
	m.t.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("starter %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (m *mill) states(args ...string) []activities.WheelState {
	m.t.Helper()
	var out struct {
		Version int                     `json:"version"`
		Wheels  []activities.WheelState `json:"wheels"`
	}
	if err := json.Unmarshal([]byte(m.starter(append([]string{"wheels", "--json"}, args...)...)), &out); err != nil || out.Version == 0 {
		m.t.Fatal(out, err)
	}
	return out.Wheels
}

// TestWindowAndDeaths kills build workers in mid-fan-out. The cycle releases
// what is there when its window ends; the builds go on with the next workers, and
// nothing that was taken in is built again.
func TestWindowAndDeaths(t *testing.T) {
	t.Parallel()
	m := newMill(t, lab.Options{NoWork: true, Window: "45s"})
	pins := []string{"native===1.0", "pure===1.0"}
	m.sdist("native", "1.0")
	m.sdist("pure", "1.0")
	for i := range 6 {
		m.sdist(fmt.Sprintf("held%d", i), "1.0")
		pins = append(pins, fmt.Sprintf("held%d===1.0", i))
	}
	m.want(pins...)
	if err := os.WriteFile(filepath.Join(m.b.dir, "hold"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m.serve("cycle,sync:" + m.Spec.Storage.Name)
	first, second := m.spawn(), m.spawn()
	run := m.Start()
	lab.Await(t, "builds on both platforms", func() bool {
		return total(m.b.begun(t, m.platforms()[0])) >= 4 && total(m.b.begun(t, m.platforms()[1])) >= 4
	})
	lab.Await(t, "what is not held is taken in, so that no death begins it anew", func() bool {
		pure := false
		for _, p := range m.platforms() {
			taken := m.taken(p)
			for pin := range m.b.begun(t, p) {
				if !strings.HasPrefix(pin, "held") && !slices.Contains(taken, pin) {
					return false
				}
			}
			pure = pure || slices.Contains(taken, "pure===1.0")
		}
		return pure
	})
	first.End(syscall.SIGKILL)
	// The other one's seats may all be taken by builds that are held.
	third := m.spawn()
	lab.Await(t, "another worker takes its builds over", func() bool {
		return slices.ContainsFunc(m.platforms(), func(p string) bool {
			return slices.Max(slices.Collect(maps.Values(m.b.begun(t, p)))) > 1
		})
	})
	second.End(syscall.SIGKILL)
	third.End(syscall.SIGKILL)
	var r workflows.CycleResult
	if err := run.Get(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if w := r.Mirrors[1].Wheels; len(w) != 2 || w[0].Outcome != workflows.Late || w[1].Outcome != workflows.Late {
		t.Fatalf("at the end of the window: %+v", r)
	}
	kept := map[string]map[string]int{}
	for _, p := range m.platforms() {
		kept[p] = m.b.begun(t, p)
		if got := m.page(p, "pure"); got["pure-1.0-1mc-py3-none-any.whl"] != "wheels" {
			t.Errorf("%s: what was built in the window is not released: %v", p, got)
		}
	}
	if err := os.Remove(filepath.Join(m.b.dir, "hold")); err != nil {
		t.Fatal(err)
	}
	m.spawn()
	tree := m.tree("wheels")
	for _, p := range m.platforms() {
		var got workflows.WheelsResult
		if err := m.Client.GetWorkflow(t.Context(), workflows.WheelsID(tree, p), "").Get(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Builds != 0 || got.Failed != 0 || got.Error != "" {
			t.Errorf("%s: %+v", p, got)
		}
		after := m.b.begun(t, p)
		for _, done := range []string{"native===1.0", "pure===1.0"} {
			if after[done] > 1 {
				t.Errorf("%s: %s was built %d times", p, done, after[done])
			}
		}
	}
	if r := m.Cycle(); r.Mirrors[1].Outcome != workflows.Done {
		t.Fatalf("%+v", r)
	}
	for _, p := range m.platforms() {
		for i := range 6 {
			if got := m.page(p, fmt.Sprintf("held%d", i)); len(got) != 2 {
				t.Errorf("%s: %v", p, got)
			}
		}
	}
}

// taken lists what was taken in on a platform: built or failed.
func (m *mill) taken(platform string) (out []string) {
	m.t.Helper()
	log, err := wheels.Store{State: m.Spec.StateDir("wheels")}.Read(platform)
	if err != nil {
		m.t.Fatal(err)
	}
	for pin, e := range log {
		if e.Built != nil || e.Failed != nil {
			out = append(out, pin.String())
		}
	}
	return out
}

// serve runs a worker in this process.
func (m *mill) serve(list string) {
	m.t.Helper()
	roles, err := service.ParseRoles(list)
	if err != nil {
		m.t.Fatal(err)
	}
	s, err := service.Start(service.Options{Client: m.Client, Roles: roles, Permit: activities.Anything(), Builder: m.b})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(s.Stop)
}

// spawn starts a build worker that is a process of its own.
func (m *mill) spawn() *lab.Process {
	m.t.Helper()
	var roles []string
	for _, p := range m.platforms() {
		roles = append(roles, "wheels:"+p)
	}
	exe, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = lab.Environ(workerEnv+"="+strings.Join(roles, ","), dirEnv+"="+m.b.dir, "TEMPORAL_ADDRESS="+m.Address)
	return lab.Spawn(m.t, cmd)
}

func (m *mill) tree(mirror string) string {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Spec.TreeDir(mirror), ".mirror/generation.json"))
	var s struct {
		Tree string `json:"tree"`
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return s.Tree
}
