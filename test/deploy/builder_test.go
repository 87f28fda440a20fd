package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/need"
)

// hides are the keys of a unit by which systemd lays something over files of
// /proc, and the command that does the same.
var hides = map[string]string{
	"ProtectKernelLogs":     "mount --bind /dev/null /proc/kmsg",
	"ProtectHostname":       "mount --bind /proc/sys/kernel/hostname /proc/sys/kernel/hostname",
	"ProtectKernelTunables": "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys",
	"ProcSubset":            "mount -t proc -o subset=pid,nosuid,nodev,noexec proc /proc",
}

// TestBuildersCanStartBuilds starts bubblewrap as the sandbox does, with the
// capabilities of the unit and what it does to /proc. Where a key hides a part
// of /proc, the kernel lets no user namespace mount one: the unit must not have it.
func TestBuildersCanStartBuilds(t *testing.T) {
	bwrap, err := exec.LookPath("bwrap")
	need.That(t, err == nil, "bubblewrap is not installed")
	need.That(t, os.Geteuid() == 0, "not root")
	unit := readUnit(t, filepath.Join(lab.Root(), "deploy/systemd/mirrorcycle-wheels@.service"))
	caps := "-all"
	for c := range strings.FieldsSeq(unit["CapabilityBoundingSet"]) {
		caps += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	start := func(mounts string) (string, error) {
		out, err := exec.Command("unshare", "-m", "sh", "-c", mounts+` && exec "$@"`, "sh",
			"setpriv", "--no-new-privs", "--bounding-set="+caps, "--inh-caps=-all",
			"unshare", "-n", "setpriv", "--reuid=2010000001", "--regid=2010000001", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
			bwrap, "--unshare-all", "--share-net", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000",
			"--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true").CombinedOutput()
		return string(out), err
	}
	out, err := start("true")
	need.That(t, err == nil, "no namespaces here: "+out)
	mounts := "true"
	if unit["ProtectProc"] != "" {
		mounts = "mount -t proc -o hidepid=" + unit["ProtectProc"] + ",nosuid,nodev,noexec proc /proc"
	}
	for key, mount := range hides {
		if unit[key] != "" {
			mounts += " && " + mount
		}
		if out, err := start(mount); err == nil || !strings.Contains(out, "/proc") {
			t.Errorf("%s does not keep builds from starting here; the unit's comment says it would: %v: %s", key, err, out)
		}
	}
	if out, err := start(mounts); err != nil {
		t.Errorf("no build starts under mirrorcycle-wheels@: %v: %s", err, out)
	}
}
