package wheelcycle_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/activities"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/workflows"
)

// TestFieldOnThreeDebians builds real source distributions of all common backends
// and of the pbr family in a cycle on three generations of Debian, the oldest of
// which has a pip that can do little. A second cycle builds nothing. Then one root
// becomes a newer Debian: what is bound to the old Python is built again, what
// failed on it is tried again, and nothing else.
func TestFieldOnThreeDebians(t *testing.T) {
	rootlab.NeedSandbox(t)
	pins := slices.Sorted(maps.Keys(rootlab.Field))
	set := rootlab.FieldSet(t, pins)
	tools, _ := rootlab.Set(t)
	m := newMillOn(t, constrained+`build-constraints = ["setuptools<81"]
build-timeout = "600s"
builds = 1`, rootlab.Debian11, rootlab.Debian12, rootlab.Debian13)
	m.uv = rootlab.UV(t, tools)
	changing := m.link(1)
	m.offer(set)
	m.wantLines(pins)
	m.serve()
	m.spawn()

	if r := m.patiently(); r.Mirrors[1].Outcome != workflows.Done {
		t.Errorf("%+v", r.Mirrors[1])
	}
	first := m.field(pins)
	m.quiet()

	newer := rootlab.Platforms[rootlab.Debian13].Python
	before := m.begun(changing)
	m.relink(changing, rootlab.Debian13)
	m.Spec.Mirrors[1].Platforms[1].Python = newer
	if r := m.patiently(); r.Mirrors[1].Outcome != workflows.Done {
		t.Errorf("with a new Python: %+v", r.Mirrors[1])
	}
	after := m.begun(changing)
	m.field(pins)
	promise := m.promising(pins)
	for _, p := range pins {
		name, version, _ := strings.Cut(p, "==")
		pin := simpleindex.Normalize(name) + "===" + version
		s := first[changing+" "+pin]
		again := 0
		if everywhere := promise[p] && strings.HasSuffix(s.File, "-any.whl"); s.State == "failed" || s.From == "" && !everywhere {
			again = 1
		}
		if got := after[pin] - before[pin]; got != again {
			t.Errorf("%s, which was %s as %s, was begun %d times for the new Python, want %d", pin, s.State, s.File, got, again)
		}
	}
	m.quiet()
	bound := []string{"MarkupSafe==2.1.5", "PyYAML==6.0.2", "msgpack==1.1.0", "wrapt==1.17.0", "oslo.i18n==6.3.0", "six==1.17.0"}
	for _, client := range []string{"pip", "uv"} {
		m.install(client, m.Regions["here"].URL, changing, bound)
	}
}

// field checks the class of every pin of the field on every platform, and returns their states.
func (m *mill) field(pins []string) map[string]activities.WheelState {
	m.t.Helper()
	states := m.states()
	if len(states) != len(pins)*len(m.platforms()) {
		m.t.Errorf("%d states, want %d pins on %d platforms", len(states), len(pins), len(m.platforms()))
	}
	for _, p := range m.platforms() {
		built, failed := 0, map[string]int{}
		for _, pin := range pins {
			name, version, _ := strings.Cut(pin, "==")
			s := states[p+" "+simpleindex.Normalize(name)+"==="+version]
			switch want := rootlab.Field[pin]; {
			case want != "":
				failed[want]++
				m.failed(s, want)
			case s.State != "built":
				m.t.Errorf("%s on %s: %+v", pin, p, s)
			default:
				built++
			}
		}
		m.t.Logf("%s: %d built of %d begun, failed %v", p, built, total(m.begun(p)), failed)
	}
	return states
}

// wantLines makes pins what is wanted on every platform.
func (m *mill) wantLines(pins []string) {
	m.t.Helper()
	var names, lines strings.Builder
	for _, p := range pins {
		name, _, _ := strings.Cut(p, "==")
		names.WriteString(name + "\n")
		lines.WriteString(strings.Replace(p, "==", "===", 1) + "\n")
	}
	m.write("global-requirements.txt", names.String())
	m.write("upper-constraints.txt", lines.String())
}

func (m *mill) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.wants, name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// link makes the root of a platform a link, which relink sets to another one.
func (m *mill) link(i int) (platform string) {
	m.t.Helper()
	p := &m.Spec.Mirrors[1].Platforms[i]
	dir := m.t.TempDir()
	m.open(dir)
	link := filepath.Join(dir, "root")
	if err := os.Symlink(p.Root, link); err != nil {
		m.t.Fatal(err)
	}
	p.Root, m.roots[p.Name] = link, link
	return p.Name
}

func (m *mill) relink(platform, root string) {
	m.t.Helper()
	link := m.roots[platform]
	if err := os.Remove(link); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(rootlab.Root(m.t, root), link); err != nil {
		m.t.Fatal(err)
	}
}
