package wheelbuild_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/serve"
)

// TestTheKernelIsFarAway calls what builds have no use for: the answers are those
// of a kernel without it, and what builds do use works.
func TestTheKernelIsFarAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	res, log := r.attack(t, `
import errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "done") if libc.syscall(number, *args) < 0 else "done"
def family(number):
    try: socket.socket(number, socket.SOCK_STREAM if number in (1, 2, 10) else socket.SOCK_RAW).close()
    except OSError as e: return errno.errorcode[e.errno]
    return "done"
calls = {"io_uring_setup": 425, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "x32 getpid": 0x40000000 + 39}
said = [n + " " + call(c, 0, 0, 0, 0, 0) for n, c in calls.items()]
said += [str(f) + " " + family(f) for f in (1, 2, 10, 16, 17, 38, 40, 44)]
said.append("pair " + family(1) + " " + str(len(socket.socketpair())))
raise Exception("SAID " + ", ".join(said))
`, limits)
	const want = "SAID io_uring_setup ENOSYS, userfaultfd ENOSYS, keyctl ENOSYS, add_key ENOSYS, request_key ENOSYS, bpf ENOSYS, perf_event_open ENOSYS, " +
		"x32 getpid ENOSYS, 1 done, 2 done, 10 done, 16 EAFNOSUPPORT, 17 EAFNOSUPPORT, 38 EAFNOSUPPORT, 40 EAFNOSUPPORT, 44 EAFNOSUPPORT, pair done 2"
	if res.Class != build.BuildBackend || !strings.Contains(log, want) {
		t.Errorf("%+v: %s", res, log)
	}
}

// TestAllBuildsTogetherAreBounded: four commands that stay within their own
// limits cannot take more of the machine than all may have.
func TestAllBuildsTogetherAreBounded(t *testing.T) {
	rootlab.NeedSandbox(t)
	root := rootlab.Root(t, rootlab.Debian12)
	group := fmt.Sprint("mirrorcycle-test-", os.Getpid())
	t.Cleanup(func() {
		for _, pattern := range []string{"/sys/fs/cgroup/*/" + group, "/sys/fs/cgroup/" + group} {
			dirs, _ := filepath.Glob(pattern)
			for _, dir := range dirs {
				if err := os.Remove(dir); err != nil {
					t.Error(err)
				}
			}
		}
	})
	s, err := sandbox.Open(sandbox.Config{FirstUID: 2_145_000_000, UIDs: 8, Run: filepath.Join(t.TempDir(), "locks"), Group: group, HostMemory: 300 << 20, HostProcesses: 100})
	if err != nil {
		t.Fatal(err)
	}
	four := func(script string) (outcomes [4]sandbox.Outcome) {
		var all sync.WaitGroup
		for i := range outcomes {
			all.Go(func() {
				var err error
				l := sandbox.Limits{Memory: 200 << 20, Disk: 1 << 20, Processes: 80}
				if outcomes[i], err = s.Run(t.Context(), sandbox.Command{Root: root, Args: []string{"python3", "-c", script}, Limits: l}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return outcomes
	}
	killed, refused := 0, 0
	for _, o := range four("import time; hog = bytearray(150 << 20); time.sleep(2)") {
		killed += o.OOMKills
	}
	if killed == 0 {
		t.Error("four times 150 MB fit into 300 MB")
	}
	const forks = `
import os, time
for _ in range(60):
    try:
        if os.fork() == 0: time.sleep(2); os._exit(0)
    except OSError: os._exit(1)
time.sleep(2)`
	for _, o := range four(forks) {
		refused += o.Exit
	}
	if refused == 0 {
		t.Error("four times 60 processes fit into 100")
	}
}

// TestARootWithoutItsFiles has neither /etc/hosts nor /etc/group; links and
// directories of /etc are there all the same.
func TestARootWithoutItsFiles(t *testing.T) {
	s := rootlab.Sandbox(t)
	whole := rootlab.Root(t, rootlab.Debian12)
	bare := whole + "-bare"
	if out, err := exec.Command("cp", "-al", whole, bare).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer os.RemoveAll(bare)
	for _, name := range []string{"hosts", "group"} {
		if err := os.RemoveAll(filepath.Join(bare, "etc", name)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.Run(t.Context(), sandbox.Command{Root: bare, Args: []string{"sh", "-ec",
		"getent ahostsv4 localhost; id -gn; cat /etc/debian_version; test -L /etc/os-release; test -d /etc/alternatives; cc --version >/dev/null; ! touch /etc/x 2>/dev/null; ! touch /etc/hosts 2>/dev/null"}})
	if log := string(out.Log.Bytes()); err != nil || out.Exit != 0 || !strings.Contains(log, "127.0.0.1") || !strings.Contains(log, "build") {
		t.Errorf("%+v %v: %s", out, err, out.Log.Bytes())
	}
}

// TestAPrivateMirrorIsOutOfReach: of a mirror on the same storage that goes to one
// region only a build can read no byte, by no address, name or path.
func TestAPrivateMirrorIsOutOfReach(t *testing.T) {
	const secret = "a-private-mirrors-bytes"
	r := newRig(t)
	storage := t.TempDir()
	for name, text := range map[string]string{"pypi/simple/x/index.html": "open", "private/simple/s/index.html": secret, "private/packages/aa/s.whl": secret,
		".state/private/id": secret, ".releases/private/1/packages/aa/s.whl": secret} {
		if err := os.MkdirAll(filepath.Join(storage, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(storage, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, indexes := range map[string]map[string]string{"alone": nil, "with a fallback": {"pypi": "private", "wheels": "private"}} {
		h, err := serve.New(serve.Options{Dir: storage, Only: "pypi", Indexes: indexes})
		if err != nil {
			t.Fatal(err)
		}
		r.index = h
		res, log := r.attack(t, fmt.Sprintf(`
import http.client
base = "127.0.0.1:3141"
found = []
def ask(path, **headers):
    c = http.client.HTTPConnection(base, timeout=10)
    c.putrequest("GET", path, skip_host=True)
    for k, v in {"Host": base, **headers}.items(): c.putheader(k, v)
    c.endheaders()
    return c.getresponse().read().decode(errors="replace")
if ask("/pypi/simple/x/") != "open": raise Exception("the index itself is out of reach")
for path in ("/private/simple/s/", "/private/packages/aa/s.whl", "//private/simple/s/", "/pypi/../private/simple/s/", "/pypi/simple/../../private/simple/s/",
             "/pypi/%%2e%%2e/private/simple/s/", "/pypi/simple/..%%2f..%%2fprivate/simple/s/", "/.state/private/id", "/.releases/private/1/packages/aa/s.whl",
             "/wheels/d12/simple/s/", "/pypi/d12/simple/s/", "http://private/private/simple/s/", "/private", "/private/simple/s/index.html", "/"):
    for host in (base, "private", "localhost", "private.example.org"):
        try:
            if %[1]q in ask(path, Host=host): found.append((host, path))
        except (OSError, http.client.HTTPException): pass
for path in (%[2]q, "/proc/1/root" + %[2]q, "/proc/self/root" + %[2]q, "/proc/self/cwd/../.." + %[2]q):
    try: found.append((path, os.listdir(path)))
    except OSError: pass
raise Exception("FOUND " + repr(found))
`, secret, storage), limits)
		if res.Class != build.BuildBackend || !strings.Contains(log, "FOUND []") || strings.Contains(strings.ReplaceAll(log, "\""+secret+"\"", ""), secret) {
			t.Errorf("%s: %+v: %s", name, res, log)
		}
	}
}
