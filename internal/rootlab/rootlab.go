// Package rootlab makes platform roots, sdists and an index for tests that build wheels.
package rootlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/wheel"
)

// The roots that there are. Debian 11 is one of those whose pip is old.
const (
	Debian11 = "debian-11"
	Debian12 = "debian-12"
	Debian13 = "debian-13"
)

// Platforms are what the roots are on x86_64.
var Platforms = map[string]wheel.Platform{
	Debian11: {Python: "3.9", Machine: "x86_64", Libc: "glibc", Version: "2.31"},
	Debian12: {Python: "3.11", Machine: "x86_64", Libc: "glibc", Version: "2.36"},
	Debian13: {Python: "3.13", Machine: "x86_64", Libc: "glibc", Version: "2.41"},
}

var codenames = map[string]string{Debian11: "bullseye", Debian12: "bookworm", Debian13: "trixie"}

// packages are what a root needs to build wheels; they name the cache too.
const packages = "python3,python3-venv,python3-pip,python3-dev,gcc,libc6-dev"

// sandboxes counts those of this process.
var sandboxes atomic.Int64

// Sandbox opens the full sandbox, with users and locks of this call's own.
func Sandbox(tb testing.TB) *sandbox.Sandbox {
	tb.Helper()
	NeedSandbox(tb)
	const users, calls = 40, 50
	first := 2_010_000_000 + (os.Getpid()%50_000*calls+int(sandboxes.Add(1)-1)%calls)*users
	s, err := sandbox.Open(sandbox.Config{FirstUID: first, UIDs: users, Run: filepath.Join(tb.TempDir(), "locks")})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// NeedSandbox skips the test on a machine without root or the programs.
func NeedSandbox(tb testing.TB) {
	tb.Helper()
	need.That(tb, os.Geteuid() == 0, "sandboxes need root")
	for _, program := range []string{"bwrap", "setpriv", "prlimit"} {
		_, err := exec.LookPath(program)
		need.That(tb, err == nil, program+" is not installed")
	}
}

var made sync.Mutex

// Root returns the directory of a root. The first time debootstrap makes it, in
// about a minute and 600 MB, from the archive that this machine's apt uses.
func Root(tb testing.TB, name string) string {
	tb.Helper()
	need.That(tb, os.Geteuid() == 0, "debootstrap needs root")
	made.Lock()
	defer made.Unlock()
	dir, err := root(name)
	need.That(tb, err == nil, fmt.Sprint("no root: ", err))
	return dir
}

func root(name string) (string, error) {
	cache, unlock, err := Cache("roots")
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	program, err := exec.LookPath("debootstrap")
	if err != nil {
		return "", err
	}
	mirror, err := debianMirror()
	if err != nil {
		return "", err
	}
	stage := filepath.Join(cache, ".stage")
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	cmd := exec.Command(program, "--variant=minbase", "--merged-usr", "--include="+packages, codenames[name], stage, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap %s: %w: %s", codenames[name], err, out[max(0, len(out)-500):])
	}
	debs, err := filepath.Glob(filepath.Join(stage, "var/cache/apt/archives/*.deb"))
	for _, deb := range debs {
		err = errors.Join(err, os.Remove(deb))
	}
	return dir, errors.Join(err, os.Rename(stage, dir))
}

// Cache locks a directory below the project's .cache.
func Cache(name string) (dir string, unlock func(), err error) {
	top, err := os.Getwd()
	for ; err == nil && top != "/"; top = filepath.Dir(top) {
		if _, err := os.Stat(filepath.Join(top, "go.mod")); err == nil {
			break
		}
	}
	dir = filepath.Join(top, ".cache", name)
	if err := errors.Join(err, os.MkdirAll(dir, 0o755)); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", nil, err
	}
	return dir, func() { _ = lock.Close() }, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
}

var debianURL = regexp.MustCompile(`\bhttps?://\S+/debian/?(?:\s|$)`)

// debianMirror is the first Debian archive of the machine's own sources.
func debianMirror() (string, error) {
	names := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		more, _ := filepath.Glob(pattern)
		names = append(names, more...)
	}
	for _, name := range slices.Compact(names) {
		data, _ := os.ReadFile(name)
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			if u := debianURL.FindString(line); u != "" {
				return strings.TrimSpace(u), nil
			}
		}
	}
	return "", errors.New("apt's sources name no Debian archive over HTTP")
}
