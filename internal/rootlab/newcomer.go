package rootlab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/need"
)

// firsts are the only packages of a newcomer's machine beside what Debian calls required, and apt.
const firsts = "git,make,ca-certificates"

// afterwards are packages that a newcomer installs: apt has them at hand, because the tutorial has no network.
var afterwards = []string{"nginx-light", "python3-venv", "prometheus"}

// Newcomer returns a copy, in a temporary directory, of the root of a machine
// that was just made and has git, make and apt.
func Newcomer(tb testing.TB) string {
	tb.Helper()
	need.That(tb, os.Geteuid() == 0, "debootstrap needs root")
	made.Lock()
	defer made.Unlock()
	kept, err := newcomer()
	need.That(tb, err == nil, fmt.Sprint("no root: ", err))
	dir := filepath.Join(tb.TempDir(), "root")
	if out, err := exec.Command("cp", "-a", kept, dir).CombinedOutput(); err != nil {
		tb.Fatalf("copy %s: %v: %s", kept, err, out)
	}
	return dir
}

func newcomer() (string, error) {
	cache, unlock, err := Cache("roots")
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, stage := filepath.Join(cache, "newcomer+"+strings.Join(afterwards, "+")), filepath.Join(cache, ".newcomer")
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
	const script = `"$1" --variant=minbase --merged-usr --include="$2" bookworm "$3" "$4"
rm -f "$3"/var/cache/apt/archives/*.deb
cp /etc/resolv.conf "$3"/etc/resolv.conf
chroot "$3" apt-get update
shift 4
chroot "$0" apt-get install -y --download-only --no-install-recommends "$@"`
	args := append([]string{"-euc", script, stage, program, firsts, stage, mirror}, afterwards...)
	if out, err := exec.Command("sh", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w: %s", err, out[max(0, len(out)-500):])
	}
	return dir, os.Rename(stage, dir)
}
