package need

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Unreadable calls test with a function that makes a file of no bytes one that
// gives EIO, as a disk does that has lost it, until the file is unmounted. The
// test that calls it is run once more for that, in a process that has mounts of
// its own.
func Unreadable(t *testing.T, test func(spoil func(name string))) {
	t.Helper()
	const inside = "MIRRORCYCLE_TEST_MOUNTS"
	if os.Getenv(inside) != "" {
		test(func(name string) {
			// The kernel has nothing at the beginning of a process's memory.
			err := syscall.Mount("/proc/self/mem", name, "", syscall.MS_BIND, "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(name, syscall.MNT_DETACH) }) // the test may have done it
		})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // makes all mounts private, too
	if id := os.Geteuid(); id != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	That(t, !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC), "no mounts of one's own, as root or in a user namespace")
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}
