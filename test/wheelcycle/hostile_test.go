package wheelcycle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/rootlab"
	"mirrorcycle/workflows"
)

// hostileBackend makes a wheel after it has done what a test puts in front of it.
const hostileBackend = `
import base64, hashlib, os, subprocess, zipfile

def wheel(directory, name, more={}):
    dist = f"{name}-1.0.dist-info"
    files = {f"{name}/__init__.py": "", dist + "/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
             dist + "/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", **more}
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    files[dist + "/RECORD"] = "\n".join([f"{n},sha256={digest(t)},{len(t)}" for n, t in files.items()] + [dist + "/RECORD,,"]) + "\n"
    filename = f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, filename), "w") as z:
        for n, t in files.items():
            z.writestr(n, t)
    return filename

def build_wheel(directory, config_settings=None, metadata_directory=None):
`

// hostiles are projects by what their builds do, and the class that it comes to.
// %s is a word by which a process that is left behind can be told.
var hostiles = map[string]struct{ does, class string }{
	"forks": {`subprocess.Popen(["sh", "-c", "sleep 100000; :", "%s"], start_new_session=True)
for i in range(1 << 30):
    try: os.fork()
    except OSError:
        if i > 100: os._exit(1)`, "processes"},
	"fills": {`subprocess.Popen(["sh", "-c", "sleep 100000; :", "%s"], start_new_session=True)
with open("/tmp/big", "wb") as f:
    while True: f.write(b"x" * (1 << 20))`, "disk"},
	"escapes": {`return wheel(directory, "escapes", {"../../../../%s.pth": "import os"})`, "wrong-wheel"},
	"poses":   {`return wheel(directory, "idna", {"idna/%s.py": ""})`, "wrong-wheel"},
	"hangs":   {endless, "timeout"},
	"sleeps":  {endless, "timeout"},
}

const endless = `subprocess.Popen(["sh", "-c", "sleep 100000; :", "%s"], start_new_session=True)
import time
while True: time.sleep(1)`

// only says where some of them are wanted: each on one platform, so that none has
// to wait for the other's to time out.
var only = map[string]string{"hangs": rootlab.Debian12, "sleeps": rootlab.Debian13}

// narrow bounds builds, so that reaching the bounds takes little of the machine.
// The honest ones have to come to an end in this time on a busy machine, too.
const narrow = `build-timeout = "75s"
builds = 2
build-processes = 64
build-disk = "256MB"
`

// TestHostileSources runs a cycle over source distributions that do what they
// can, and two honest ones. The honest ones are released, and each of the others
// costs itself: it has a class and a log, and nothing of it is left anywhere.
func TestHostileSources(t *testing.T) {
	rootlab.NeedSandbox(t)
	set, _ := rootlab.Set(t)
	m := newMillOn(t, constrained+narrow, rootlab.Debian12, rootlab.Debian13)
	m.uv = rootlab.UV(t, set)
	m.offer(set)
	pins := []string{"MarkupSafe==2.1.5", "idna==3.10"}
	word := func(name string) string { return fmt.Sprintf("mirrorcycle-%s-%d", name, os.Getpid()) }
	for name, h := range hostiles {
		var body strings.Builder
		for line := range strings.Lines(fmt.Sprintf(h.does, word(name))) {
			body.WriteString("    " + line)
		}
		path, _ := rootlab.SDist(t, name, "1.0", map[string]string{"backend.py": hostileBackend + body.String() + "\n",
			"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"})
		m.offerFile(path)
		pins = append(pins, name+"==1.0")
	}
	m.want(pins)
	m.serve()
	m.spawn()

	r := m.Cycle()
	if w := r.Mirrors[1]; w.Outcome != workflows.Done || r.Outcome != workflows.Partial {
		t.Fatalf("%+v", r)
	}
	states := m.states()
	for _, p := range m.platforms() {
		for _, name := range []string{"markupsafe===2.1.5", "idna===3.10"} {
			if s := states[p+" "+name]; s.State != "built" {
				t.Errorf("%+v", s)
			}
		}
		for name, h := range hostiles {
			if root := only[name]; root != "" && m.roots[p] != rootlab.Root(t, root) {
				continue // not wanted there
			}
			m.failed(states[p+" "+name+"===1.0"], h.class)
			if page := m.ask(m.Regions["here"].URL + "/wheels/" + p + "/simple/" + name + "/"); !strings.HasPrefix(page, "/pypi/simple/") {
				t.Errorf("%s has a page of its own on %s: %s", name, p, page)
			}
			if n := m.begun(p)[name+"===1.0"]; n != 1 {
				t.Errorf("%s was begun %d times on %s", name, n, p)
			}
		}
		m.install("pip", m.Regions["here"].URL, p, []string{"MarkupSafe==2.1.5", "idna==3.10"})
	}
	for name := range hostiles {
		m.gone(word(name))
	}
	m.quiet()
}

// gone checks that no process and no file bears a word.
func (m *mill) gone(word string) {
	m.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range lines {
		if line, _ := os.ReadFile(name); strings.Contains(string(line), "\x00"+word+"\x00") { // one that ended meanwhile has none
			m.t.Errorf("%s is left: %q", filepath.Dir(name), line)
		}
	}
	err = filepath.WalkDir(m.Dir, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), word) {
			m.t.Errorf("%s is there", path)
		}
		return err
	})
	if err != nil {
		m.t.Error(err)
	}
}
