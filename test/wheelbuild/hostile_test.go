package wheelbuild_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
)

// backend is a build backend that an sdist brings along: it makes a right wheel,
// after it has done what a test puts in front of it.
const backend = `
import base64, ctypes, hashlib, os, signal, socket, subprocess, sys, threading, time, zipfile

def wheel(directory, name, version, record=True):
    dist = f"{name}-{version}.dist-info"
    files = {f"{name}/__init__.py": "", dist + "/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             dist + "/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    rows = [f"{n},sha256={digest(t)},{len(t)}" for n, t in files.items()] if record else []
    files[dist + "/RECORD"] = "\n".join(rows + [dist + "/RECORD,,"]) + "\n"
    filename = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, filename), "w") as z:
        for n, t in files.items():
            z.writestr(n, t)
    return filename

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, version, record = "demo", "1.0", True
`

// attack is an sdist whose build does what the Python lines say.
func attack(t *testing.T, lines string) (path, digest string) {
	t.Helper()
	var body strings.Builder
	for line := range strings.Lines(lines) {
		body.WriteString("    " + line)
	}
	return rootlab.SDist(t, "demo", "1.0", map[string]string{
		"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"backend.py":     backend + body.String() + "\n    return wheel(directory, name, version, record)\n",
	})
}

func (r rig) attack(t *testing.T, lines string, limits sandbox.Limits) (build.Result, string) {
	t.Helper()
	sdist, digest := attack(t, lines)
	req := r.request(t, rootlab.Debian12, "demo", "1.0", sdist, digest)
	req.Limits = limits
	res := run(t, req)
	log, err := os.ReadFile(filepath.Join(req.Dir, res.Log))
	if err != nil {
		t.Fatal(err)
	}
	return res, string(log)
}

// TestFailuresHaveAClass runs them beside each other, and a good build in between.
func TestFailuresHaveAClass(t *testing.T) {
	r := newRig(t)
	short := limits
	short.Timeout = 30 * time.Second // within which the build has to begin on a busy machine
	tests := map[string]struct {
		lines  string
		limits sandbox.Limits
		class  build.Class
		says   string
	}{
		"good":                {"pass", limits, "", ""},
		"no end":              {"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0: os.setsid()\nprint('waiting', flush=True)\nwhile True: time.sleep(1)", short, build.Timeout, "waiting"},
		"memory":              {"hog = []\nwhile True: hog.append(b'x' * (16 << 20))", limits, build.Memory, ""},
		"disk":                {"f = open('/tmp/big', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", limits, build.Disk, "No space left"},
		"home":                {"f = open(os.path.expanduser('~/big'), 'wb')\nwhile True: f.write(b'x' * (1 << 20))", limits, build.Disk, "No space left"},
		"a log of a gigabyte": {"for i in range(1 << 20): os.write(1, b'y' * 1023 + b'\\n')", limits, build.LogLimit, ""},
		"fork bomb":           {"import itertools\nfor i in itertools.count():\n    try:\n        os.fork()\n    except OSError:\n        if i > 300: os._exit(1)", limits, build.Processes, ""},
		"crash":               {"os.kill(os.getpid(), signal.SIGSEGV)", limits, build.Crash, ""},
		"kills all":           {"os.kill(-1, signal.SIGKILL)", limits, build.Crash, ""},
		"raises":              {"raise ValueError('no way')", limits, build.BuildBackend, "no way"},
		"other name":          {"name = 'evil'", limits, build.WrongWheel, "evil"},
		"other version":       {"version = '2.0'", limits, build.WrongWheel, "2.0"},
		"wrong record":        {"record = False", limits, build.WrongWheel, "RECORD"},
		"two wheels":          {"parent = '/tmp/wheels'\nwheel(parent, 'another', '1')", limits, build.WrongWheel, "more than one"},
		"too much":            {"import random\nwith open('/tmp/wheels/a-1-py3-none-any.whl', 'wb') as f: f.write(random.randbytes(80 << 20))", limits, build.Disk, "larger than allowed"},
		"writes our answer":   {"for pid in os.listdir('/proc'):\n    try:\n        open(f'/proc/{pid}/fd/3', 'wb', buffering=0).write(b'junk' * 1000)\n    except OSError: pass", limits, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, log := r.attack(t, tt.lines, tt.limits)
			if res.Class != tt.class || !strings.Contains(res.Message, tt.says) {
				t.Errorf("class %q (%s), want %q about %q; log: %.3000s", res.Class, res.Message, tt.class, tt.says, log)
			}
			if len(log) > 2<<20 {
				t.Errorf("log of %d bytes", len(log))
			}
			if (res.File == "") != (tt.class != "") {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestWhatBuildsLackHasAClass(t *testing.T) {
	r := newRig(t)
	extension := func(code string) map[string]string {
		return map[string]string{"x.c": code, "setup.py": "from setuptools import setup, Extension\nsetup(name='demo', version='1.0', ext_modules=[Extension('x', ['x.c'])])\n"}
	}
	tests := map[string]struct {
		files map[string]string
		class build.Class
		says  string
	}{
		"header":       {extension("#include <no/such.h>\n"), build.HeaderMissing, "no/such.h"},
		"compiler":     {extension("int f( {\n"), build.Compiler, ""},
		"other python": {map[string]string{"pyproject.toml": "[project]\nname = 'demo'\nversion = '1.0'\nrequires-python = '>=4'\n"}, build.RequiresPython, "4"},
		"dependency":   {map[string]string{"pyproject.toml": "[build-system]\nrequires = ['no-such-thing']\n"}, build.Dependency, "no-such-thing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdist, digest := rootlab.SDist(t, "demo", "1.0", tt.files)
			if res := run(t, r.request(t, rootlab.Debian13, "demo", "1.0", sdist, digest)); res.Class != tt.class || !strings.Contains(res.Message, tt.says) {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestAForkBombHarmsNobody builds beside a fork bomb that never gives up.
func TestAForkBombHarmsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var both sync.WaitGroup
	both.Go(func() {
		l := limits
		l.Timeout = 30 * time.Second // within which it has to begin on a busy machine
		res, _ := r.attack(t, "while True:\n    try: os.fork()\n    except OSError: pass", l)
		if res.Class != build.Processes {
			t.Errorf("%+v", res)
		}
	})
	both.Go(func() {
		if res, log := r.attack(t, "time.sleep(2)", limits); res.Class != "" {
			t.Errorf("%+v: %s", res, log)
		}
	})
	both.Wait()
}

// TestNothingOutsideIsSeen reads all that a build may find of its worker.
func TestNothingOutsideIsSeen(t *testing.T) {
	r := newRig(t)
	const secret = "hunter2-of-the-worker"
	t.Setenv("MIRRORCYCLE_SECRET", secret)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	res, log := r.attack(t, fmt.Sprintf(`
paths = [%q, "/root/.netrc", "/proc/1/root%s/token", "/proc/1/cwd/token"]
paths += [f"/proc/{p}/environ" for p in os.listdir("/proc") if p.isdigit()]
for path in paths:
    try: print("read", path, open(path).read().replace("\0", " "))
    except OSError as e: print("refused", path, e)
print("environment", dict(os.environ))
print("processes", max(int(p) for p in os.listdir("/proc") if p.isdigit()))
for line in open("/proc/self/status"):
    if line.startswith(("Cap", "NoNewPrivs")): print(*line.split())
`, filepath.Join(home, "token"), home), limits)
	if res.Class != "" || strings.Contains(log, secret) || strings.Contains(log, "MIRRORCYCLE_SECRET") {
		t.Errorf("%+v: %s", res, log)
	}
	for _, want := range []string{"refused " + home + "/token", "read /proc/1/environ PATH", "CapBnd: 0000000000000000", "CapEff: 0000000000000000", "NoNewPrivs: 1"} {
		if !strings.Contains(log, want) { // what it could look at, it did
			t.Errorf("not in the log: %s: %s", want, log)
		}
	}
}

// TestABuildIsAUserOfItsOwn looks from outside at two builds under way: each
// starts a process that can be told, and waits in a request for the other.
func TestABuildIsAUserOfItsOwn(t *testing.T) {
	r := newRig(t)
	var here sync.WaitGroup
	here.Add(2)
	users := make(chan string, 2)
	r.index = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		here.Done()
		here.Wait()
		users <- userOf(req.URL.Path[1:])
	})
	var builds sync.WaitGroup
	for _, marker := range []string{"mirrorcycle-one", "mirrorcycle-two"} {
		builds.Go(func() {
			res, log := r.attack(t, fmt.Sprintf(`
import urllib.request
subprocess.Popen(["sh", "-c", "sleep 1000; :", %q], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
urllib.request.urlopen(os.environ["MIRRORCYCLE_INDEX"].replace("simple/", %q)).read()
`, marker, marker), limits)
			if res.Class != "" {
				t.Errorf("%+v: %s", res, log)
			}
		})
	}
	builds.Wait()
	one, two := <-users, <-users
	if one == two || min(one, two) < "2010000000" || max(one, two) > "2110000000" {
		t.Errorf("users %q and %q", one, two)
	}
}

// userOf returns the user of a process by a word of its command line.
func userOf(word string) string {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, _ := os.ReadFile(name)
		if !strings.HasSuffix(string(line), "\x00"+word+"\x00") {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
		_, rest, _ := strings.Cut(string(status), "\nUid:\t")
		uid, _, _ := strings.Cut(rest, "\t")
		return uid
	}
	return "nobody's"
}

// TestNothingOutsideIsWritten tries the ways out of a read-only root.
func TestNothingOutsideIsWritten(t *testing.T) {
	r := newRig(t)
	root := rootlab.Root(t, rootlab.Debian12)
	res, log := r.attack(t, `
libc, won = ctypes.CDLL(None, use_errno=True), []
MS_REMOUNT, MS_BIND, CLONE_NEWUSER, CLONE_NEWNS = 32, 4096, 0x10000000, 0x20000
def escape(where):
    for flags in (MS_REMOUNT, MS_REMOUNT | MS_BIND):
        if libc.mount(None, b"/", None, flags, None) == 0: won.append("remounted " + where)
    for path in ("/etc/evil", "/usr/lib/python3/dist-packages/evil.pth", "/dev/evil", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/passwd"):
        try:
            with open(path, "w") as f: f.write("evil")
            won.append("wrote " + path)
        except OSError: pass
    if libc.mknod(b"/tmp/disk", 0o60666, os.makedev(254, 0)) == 0: won.append("made a device")
    if libc.chroot(b"/tmp") == 0: won.append("chroot")
escape("first")
if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0:
    won.append("a user namespace"); escape("inside it")
for program in ("mount", "su", "passwd", "newgrp"):
    subprocess.run([program, "-o", "remount,rw", "/"] if program == "mount" else [program], stdin=subprocess.DEVNULL, capture_output=True)
try: os.setuid(0); won.append("uid 0")
except OSError: pass
raise Exception("WON " + repr(won))
`, limits)
	if res.Class != build.BuildBackend || !strings.Contains(log, "WON []") {
		t.Errorf("%+v: %s", res, log)
	}
	for _, name := range []string{"etc/evil", "usr/lib/python3/dist-packages/evil.pth", "dev/evil"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is in the root", name)
		}
	}
}

// TestNobodyOutsideIsReached listens on this machine in every way a build could call.
func TestNobodyOutsideIsReached(t *testing.T) {
	r := newRig(t)
	var called sync.Map
	accept := func(network, address string) string {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				called.Store(network+" "+address, true)
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	_, port, err := net.SplitHostPort(accept("tcp4", "0.0.0.0:0"))
	if err != nil {
		t.Fatal(err)
	}
	accept("unix", "@mirrorcycle-test-abstract")
	path := filepath.Join(t.TempDir(), "socket")
	accept("unix", path)
	var hosts []string
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			hosts = append(hosts, n.IP.String())
		}
	}
	res, log := r.attack(t, fmt.Sprintf(`
reached = []
targets = [(socket.AF_INET, (h, %s)) for h in %q.split()] + [(socket.AF_UNIX, "\0mirrorcycle-test-abstract"), (socket.AF_UNIX, %q)]
targets += [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))]
for family, address in targets:
    try:
        s = socket.socket(family); s.settimeout(3); s.connect(address); reached.append(address)
    except OSError: pass
try: reached.append(socket.getaddrinfo("example.org", 80))
except OSError: pass
try: reached.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
except OSError: pass
raise Exception("REACHED " + repr(reached) + repr([l.split(":")[0].strip() for l in open("/proc/net/dev")][2:]))
`, port, strings.Join(hosts, " "), path), limits)
	if res.Class != build.BuildBackend || !strings.Contains(log, "REACHED []['lo']") {
		t.Errorf("%+v: %s", res, log)
	}
	called.Range(func(k, _ any) bool { t.Errorf("%v was called", k); return true })
}
