package rootlab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mirrorcycle/internal/need"
)

// RpmClients returns the root of a Debian release that has dnf5 and zypper,
// which is the one under development. It is made the first time, as Root makes
// roots, and only read: tests mount their directories into it.
func RpmClients(tb testing.TB) string {
	tb.Helper()
	need.That(tb, os.Geteuid() == 0, "debootstrap needs root")
	made.Lock()
	defer made.Unlock()
	dir, err := rpmClients()
	need.That(tb, err == nil, fmt.Sprint("no root: ", err))
	return dir
}

func rpmClients() (string, error) {
	cache, unlock, err := Cache("roots")
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, stage := filepath.Join(cache, "rpmclients"), filepath.Join(cache, ".rpmclients")
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
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	cmd := exec.Command(program, "--variant=minbase", "--include=dnf5,zypper,rpm", "sid", stage, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap sid: %w: %s", err, out[max(0, len(out)-500):])
	}
	return dir, os.Rename(stage, dir)
}
