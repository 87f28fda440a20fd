package wheels_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/activities"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/workflows"
)

// What is downloaded once by the machine's own pip: source distributions to
// build, what their builds need, and uv to install with. Versions are fixed, as
// the expected states are.
var (
	sources = []string{"MarkupSafe==2.1.5", "PyYAML==6.0.2", "msgpack==1.1.0", "greenlet==3.1.1", "SQLAlchemy==2.0.36", "cffi==1.17.1", "wrapt==1.17.0",
		"psutil==6.1.0", "simplejson==3.19.3", "bitarray==3.0.0", "six==1.17.0", "idna==3.10", "certifi==2024.8.30", "pytz==2024.2", "chardet==5.2.0",
		"decorator==5.1.1", "docutils==0.21.2", "wcwidth==0.2.13", "toml==0.10.2", "ply==3.11", "pyparsing==3.2.0", "packaging==24.2",
		"typing_extensions==4.12.2", "Jinja2==3.1.4", "itsdangerous==2.2.0"}
	tools = []string{"setuptools==80.9.0", "wheel==0.45.1", "flit-core==3.12.0", "cython==3.1.2"}
	older = []string{"cython==3.0.12"}
	uv    = []string{"uv==0.13.9"}
)

// lacking are those that the roots have no compiler or header for.
var lacking = []string{"cffi", "greenlet"}

// compiled are those of which each platform has a wheel of its own.
var compiled = []string{"markupsafe", "pyyaml", "msgpack", "sqlalchemy", "wrapt", "psutil", "simplejson", "bitarray"}

func download(t *testing.T) string {
	t.Helper()
	dir, err := fetchPackages()
	need.That(t, err == nil, fmt.Sprint("no real source distributions: ", err))
	return dir
}

func fetchPackages() (string, error) {
	cache, unlock, err := rootlab.Cache("wheelset")
	if err != nil {
		return "", err
	}
	defer unlock()
	recipe := sha256.Sum256([]byte(strings.Join(slices.Concat(sources, tools, older, uv), " ")))
	dir, stage := filepath.Join(cache, hex.EncodeToString(recipe[:6])), filepath.Join(cache, "stage")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i], _, _ = strings.Cut(s, "==")
	}
	pure := []string{"--only-binary", ":all:", "--platform", "any"}
	for _, args := range [][]string{append([]string{"--no-binary", strings.Join(names, ",")}, sources...), append(pure, tools...), append(pure, older...), uv} {
		cmd := exec.Command("python3", append([]string{"-m", "pip", "--isolated", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", stage}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("pip download: %w: %s", err, out[max(0, len(out)-500):])
		}
	}
	return dir, os.Rename(stage, dir)
}

// offer publishes the files of a directory as an index has them.
func (m *mill) offer(dir string) {
	m.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	all := map[string][]lab.Object{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			m.t.Fatal(err)
		}
		name, version := nameOf(m.t, e.Name())
		all[name] = append(all[name], lab.Object{Filename: e.Name(), Version: version, Data: data})
	}
	for name, objects := range all {
		m.u.Objects(name, objects...)
	}
}

func nameOf(t *testing.T, file string) (name, version string) {
	t.Helper()
	if f, err := wheel.ParseFilename(file); err == nil {
		return simpleindex.Normalize(f.Name), f.Version
	}
	stem := strings.TrimSuffix(file, ".tar.gz")
	i := strings.LastIndexByte(stem, '-')
	if i < 0 {
		t.Fatalf("%s is no source distribution", file)
	}
	return simpleindex.Normalize(stem[:i]), stem[i+1:]
}

// TestRealSources builds real source distributions on real roots in a cycle,
// one that lacks a header and one that never ends among them, and installs what
// was built from the merged index alone, by pip and by uv.
func TestRealSources(t *testing.T) {
	rootlab.NeedSandbox(t)
	roots := map[string]string{}
	for _, name := range []string{rootlab.Debian12, rootlab.Debian13} {
		roots[name] = rootlab.Root(t, name)
	}
	dir := download(t)
	m := newRealMill(t, roots)
	m.offer(dir)
	hangs, _ := rootlab.SDist(t, "hangs", "1.0", map[string]string{"setup.py": "import time\nwhile True:\n    time.sleep(1)\n"})
	data, err := os.ReadFile(hangs)
	if err != nil {
		t.Fatal(err)
	}
	m.u.Objects("hangs", lab.Object{Filename: filepath.Base(hangs), Version: "1.0", Data: data})
	pins := []string{"hangs===1.0"}
	for _, s := range sources {
		name, version, _ := strings.Cut(s, "==")
		pins = append(pins, simpleindex.Normalize(name)+"==="+version)
	}
	m.want(pins...)
	began := time.Now()
	var r workflows.CycleResult
	if err := m.Start().Get(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("a cycle of %s: %+v", time.Since(began).Round(time.Second), r.Mirrors[1].Wheels)
	if r.Mirrors[1].Outcome != workflows.Done {
		t.Fatalf("%+v", r.Mirrors[1])
	}
	m.right(pins)
	for _, name := range []string{rootlab.Debian12, rootlab.Debian13} {
		for _, client := range []string{"pip", "uv"} {
			m.install(roots[name], m.platformOf(name), client, dir, pins)
		}
	}
	before := m.Cycle()
	if before.Outcome != workflows.Unchanged {
		t.Errorf("a second cycle: %+v", before.Mirrors)
	}
}

func newRealMill(t *testing.T, roots map[string]string) *mill {
	t.Helper()
	m := &mill{t: t, u: lab.NewUpstream(t), dir: t.TempDir(), sources: map[string][]string{}}
	id := fmt.Sprint(os.Getpid())
	m.House = lab.New(t, lab.Options{Regions: []string{"here"}, Window: "15m", Mirrors: m.u.PyPIMirror("pypi", "1h") + fmt.Sprintf(`[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = %q
constraints = %q
build-timeout = "2m"
build-memory = "1GB"
builds = 2
platforms = [{ name = "debian-12-%s", root = %q, python = "3.11" }, { name = "debian-13-%s", root = %q, python = "3.13" }]
`, filepath.Join(m.dir, "requirements.txt"), filepath.Join(m.dir, "constraints.txt"), id, roots[rootlab.Debian12], id, roots[rootlab.Debian13])})
	return m
}

func (m *mill) platformOf(root string) string {
	return m.platforms()[slices.Index([]string{rootlab.Debian12, rootlab.Debian13}, root)]
}

// right checks that every pin is in the state that it should be in.
func (m *mill) right(pins []string) {
	m.t.Helper()
	got := map[string]activities.WheelState{}
	shared := 0
	for _, s := range m.states() {
		got[s.Platform+" "+s.Pin] = s
		if s.From != "" {
			shared++
		}
	}
	for _, p := range m.platforms() {
		for _, pin := range pins {
			s, name := got[p+" "+pin], strings.Split(pin, "===")[0]
			switch {
			case name == "hangs":
				if s.State != "failed" || s.Class != "timeout" {
					m.t.Errorf("%s on %s: %+v", pin, p, s)
				}
			case slices.Contains(lacking, name):
				if s.State != "failed" || s.Log == "" || !strings.Contains(m.text(s.Log), "error") {
					m.t.Errorf("%s on %s: %+v", pin, p, s)
				}
				m.t.Logf("%s on %s: %s: %s", pin, p, s.Class, s.Message)
			case s.State != "built":
				m.t.Errorf("%s on %s: %+v", pin, p, s)
			case slices.Contains(compiled, name) != strings.HasSuffix(s.File, "-linux_x86_64.whl") && !strings.Contains(s.File, "manylinux"):
				m.t.Errorf("%s on %s is %s", pin, p, s.File)
			}
		}
	}
	if want := len(sources) - len(compiled) - len(lacking); shared != want {
		m.t.Errorf("%d wheels serve the platform that they were not built on, want %d", shared, want)
	}
}

// install makes a fresh environment in the root and installs what was built.
func (m *mill) install(root, platform, client, packages string, pins []string) {
	m.t.Helper()
	var names []string
	for _, p := range pins {
		name, version, _ := strings.Cut(p, "===")
		if name != "hangs" && !slices.Contains(lacking, name) {
			names = append(names, name+"=="+version)
		}
	}
	index := m.Regions["here"].URL + "/wheels/" + platform + "/simple/"
	script := "set -e\npython3 -m venv /tmp/v\n"
	if client == "pip" {
		script += "/tmp/v/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: --index-url " + index
	} else {
		script += "/opt/uv pip install --quiet --no-cache --no-deps --only-binary :all: --python /tmp/v/bin/python --index-url " + index
	}
	script += " " + strings.Join(names, " ") + "\n/tmp/v/bin/python -c 'import markupsafe._speedups, yaml, msgpack._cmsgpack, sqlalchemy, wrapt._wrappers, psutil._psutil_linux, bitarray, jinja2, six, idna, docutils'\n"
	args := []string{"--ro-bind", root, "/", "--tmpfs", "/tmp", "--tmpfs", "/opt", "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--die-with-parent",
		"--ro-bind", m.uv(packages), "/opt/uv", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp", "sh", "-c", script}
	began := time.Now()
	if out, err := exec.CommandContext(m.t.Context(), "bwrap", args...).CombinedOutput(); err != nil {
		m.t.Errorf("%s on %s: %v\n%s", client, platform, err, out)
		return
	}
	m.t.Logf("%s installed %d wheels on %s in %s", client, len(names), platform, time.Since(began).Round(time.Millisecond))
}

// uv takes the program out of its wheel.
func (m *mill) uv(packages string) string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(packages, "uv-*.whl"))
	if err != nil || len(found) != 1 {
		m.t.Fatal(found, err)
	}
	z, err := zip.OpenReader(found[0])
	if err != nil {
		m.t.Fatal(err)
	}
	defer z.Close()
	to := filepath.Join(m.t.TempDir(), "uv")
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/scripts/uv") {
			continue
		}
		in, err := f.Open()
		if err != nil {
			m.t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			m.t.Fatal(err)
		}
		return to
	}
	m.t.Fatal("the wheel of uv has no program")
	return ""
}
