package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/workflows"
)

// BenchmarkWheelBuilds builds real source distributions on the debian-12 root, in
// pairs: in a cycle through Temporal, as many at a time as there are cores, and
// with one plain pip wheel, which is first in every other pair.
func BenchmarkWheelBuilds(b *testing.B) {
	w := newMill(b)
	w.build(b) // pip takes its sources from a region of ours
	for b.Loop() {
		for i := range 4 {
			var plain time.Duration
			steps := []func(){func() { w.build(b) }, func() {
				plain = w.measure(b, "pip wheel --quiet --no-deps --no-cache-dir --index-url "+w.url+"/pypi/simple/ --wheel-dir /tmp/out "+w.sources(b))
			}}
			steps[i%2]()
			steps[1-i%2]()
			b.Logf("build, one pip wheel: %6.1f s; cycle / pip wheel = %.2f", plain.Seconds(), w.built.Seconds()/plain.Seconds())
		}
	}
}

func newMill(b *testing.B) *mill {
	b.Helper()
	rootlab.NeedSandbox(b)
	root := rootlab.Root(b, rootlab.Debian12)
	set, _ := rootlab.Set(b)
	w := &mill{root: root, set: set, uv: rootlab.UV(b, set)}
	for _, s := range rootlab.Sources {
		if name, _, _ := strings.Cut(s, "=="); rootlab.Lacking[simpleindex.Normalize(name)] == "" {
			w.pins = append(w.pins, s)
		}
	}
	return w
}

// BenchmarkWheels installs what was built from the merged index and from the
// sources, with pip and with uv, in pairs.
func BenchmarkWheels(b *testing.B) {
	w := newMill(b)
	w.build(b)
	for b.Loop() {
		for range 3 {
			for name, install := range map[string]string{"pip": "/tmp/v/bin/pip install --quiet --no-cache-dir", "uv": "/opt/uv pip install --quiet --no-cache --python /tmp/v/bin/python"} {
				pins := " " + strings.Join(w.pins, " ")
				wheels := w.measure(b, install+" --no-deps --only-binary :all: --index-url "+w.url+"/wheels/bench/simple/"+pins)
				sources := w.measure(b, install+" --no-deps --index-url "+w.url+"/pypi/simple/"+pins)
				b.Logf("install of %d with %-3s: wheels %5.1f s, sources %6.1f s, ratio %.1f", len(w.pins), name, wheels.Seconds(), sources.Seconds(), sources.Seconds()/wheels.Seconds())
			}
		}
	}
}

type mill struct {
	root, set, uv string
	pins          []string
	url           string        // of the region of the last house
	built         time.Duration // the last cycle
}

// build runs a first cycle in a house of its own.
func (w *mill) build(b *testing.B) {
	b.Helper()
	u, wants := lab.NewUpstream(b), b.TempDir()
	entries, err := os.ReadDir(w.set)
	if err != nil {
		b.Fatal(err)
	}
	all := map[string][]lab.Object{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(w.set, e.Name()))
		if err != nil {
			b.Fatal(err)
		}
		name, version := rootlab.PinOf(e.Name())
		all[name] = append(all[name], lab.Object{Filename: e.Name(), Version: version, Data: data})
	}
	for name, objects := range all {
		u.Objects(name, objects...)
	}
	var names string
	for _, p := range w.pins {
		name, _, _ := strings.Cut(p, "==")
		names += name + "\n"
	}
	for name, text := range map[string]string{"requirements.txt": names, "constraints.txt": strings.Join(w.pins, "\n")} {
		if err := os.WriteFile(filepath.Join(wants, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	h := lab.New(b, lab.Options{Regions: []string{"here"}, NoWork: true, Window: "30m", Every: "1h", Keep: "1h", Mirrors: u.PyPIMirror("pypi", "1h") + fmt.Sprintf(`[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = %q
constraints = %q
builds = %d
platforms = [{ name = "bench", root = %q, python = "3.11" }]
`, filepath.Join(wants, "requirements.txt"), filepath.Join(wants, "constraints.txt"), runtime.NumCPU(), w.root)})
	worker(b, h)
	start := time.Now()
	var r workflows.CycleResult
	if err := h.Start().Get(context.Background(), &r); err != nil {
		b.Fatal(err)
	}
	w.url, w.built = h.Regions["here"].URL, time.Since(start)
	if got := r.Mirrors[1].Wheels; len(got) != 1 || got[0].Built != len(w.pins) || r.Mirrors[1].Outcome != workflows.Done {
		b.Fatalf("%+v", r.Mirrors)
	}
	stages, err := stages(context.Background(), h.Client, start)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("build, a cycle until the region serves %d wheels: %6.1f s (%.1f a minute); activities in seconds: %s", len(w.pins), w.built.Seconds(), float64(len(w.pins))/w.built.Minutes(), stages)
}

// sources are the paths of the pins' source distributions in the root.
func (w *mill) sources(b *testing.B) string {
	b.Helper()
	var all []string
	for _, p := range w.pins {
		name, _, _ := strings.Cut(p, "==")
		path, _ := rootlab.Find(b, w.set, simpleindex.Normalize(name))
		all = append(all, "/opt/set/"+filepath.Base(path))
	}
	return strings.Join(all, " ")
}

// measure times a command in a fresh environment of the root, without the time
// that making the environment takes. It compiles as our builds do; wheel is there
// for projects without pyproject.toml, which pip builds in the environment itself.
func (w *mill) measure(b *testing.B, command string) time.Duration {
	b.Helper()
	command = strings.Replace(command, "pip wheel", "/tmp/v/bin/pip wheel", 1)
	script := "python3 -m venv /tmp/v\n/tmp/v/bin/pip install --quiet --no-cache-dir --no-deps /opt/set/wheel-*.whl\nexport CFLAGS=\"$(python3 -c 'import sysconfig; print(sysconfig.get_config_var(\"CFLAGS\"))') -g0\"\nexport CXXFLAGS=\"$CFLAGS\"\nfrom=$(date +%s%N)\n" + command + "\necho took $(($(date +%s%N) - from))\n"
	out, err := rootlab.Enter(w.root, script, map[string]string{"/opt/uv": w.uv, "/opt/set": w.set}).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	_, took, _ := strings.Cut(string(out), "took ")
	ns, err := strconv.ParseInt(strings.TrimSpace(took), 10, 64)
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return time.Duration(ns)
}
