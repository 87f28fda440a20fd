package wheelcycle_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/workflows"
)

// stranger is a user and group that nothing belongs to.
const stranger = "47114"

// TestLeastPrivilege builds a wheel by the real worker with no more rights than
// it needs: as the unit confines root, and as a user of its own without any
// rights, in a root of its own. Storage and region are read-only to it but for
// its platform's inbox, which starter setup has made.
func TestLeastPrivilege(t *testing.T) {
	rootlab.NeedSandbox(t)
	for name, c := range map[string]struct {
		sandbox string
		within  func(t *testing.T, root string) (platformRoot, script, as string)
	}{
		"as the unit": {"bubblewrap", unit},
		"as a user":   {"none", user},
	} {
		t.Run(name, func(t *testing.T) {
			root := rootlab.Root(t, rootlab.Debian12)
			platformRoot, script, as := c.within(t, root)
			m := newSmallMill(t, platformRoot, c.sandbox)
			platform := m.platforms()[0]
			setup := exec.Command(lab.Program(t, "starter"), "setup")
			setup.Env = lab.Environ("TEMPORAL_ADDRESS="+m.Address, "MIRRORCYCLE_SPEC="+filepath.Join(m.Dir, "mirrors.toml"))
			if out, err := setup.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			inboxes := filepath.Join(m.Spec.StateDir("wheels"), "inbox")
			inbox := filepath.Join(inboxes, platform)
			if out, err := exec.Command("sh", "-euc", `chown `+stranger+`:0 "$1"; chmod 2775 "$1"; mkdir "$1-other"`, "sh", inbox).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			m.serve()
			dirs := []string{m.Spec.TreeDir("pypi"), m.Spec.TreeDir("wheels"), m.Spec.StateDir("pypi"), m.Spec.StateDir("wheels"), inbox + "-other",
				m.Spec.Regions[0].Dir, m.Spec.Regions[0].Site}
			cmd := exec.Command("unshare", "--mount", "--propagation", "private", "bash", "-euc", script, "bash", inbox)
			cmd.Env = lab.Environ("TEMPORAL_ADDRESS="+m.Address, "WORKER="+lab.Program(t, "worker"), "HOUSE="+m.Dir, "ROOT="+root, "AS="+as,
				"PLATFORM="+platform, "SANDBOX="+c.sandbox, "TRIES="+strings.Join(append(dirs, inbox), "\n"))
			p := lab.Spawn(t, cmd)
			p.Await(`tried`)
			if text := p.String(); strings.Count(text, "may write") != 1 || !strings.Contains(text, "may write "+inbox+"\n") {
				t.Errorf("the builder: %s", text)
			}
			ctx, ended := context.WithCancel(t.Context())
			go func() {
				<-p.Ended // nobody would build
				ended()
			}()
			var r workflows.CycleResult
			if err := m.Start().Get(ctx, &r); err != nil {
				t.Fatal(err)
			}
			states := m.states()
			for pin, s := range states {
				if s.State != "built" {
					t.Errorf("%s: %+v", pin, s)
				}
			}
			if len(states) != 1 || r.Mirrors[1].Outcome != workflows.Done {
				t.Errorf("%v, %+v", states, r.Mirrors)
			}
			if left, err := filepath.Glob(filepath.Join(inbox, "*")); err != nil || len(left) > 0 {
				t.Errorf("left in the inbox: %v, %v", left, err)
			}
		})
	}
}

// try says which directories can be written, and becomes the worker.
const try = `
while read -r d; do
  if $AS sh -c 'mkdir "$1/tried" && rmdir "$1/tried"' sh "$d" 2>/dev/null; then echo "may write $d"; fi
done <<<"$TRIES"
echo tried
exec $AS "$WORKER" --roles "wheels:$PLATFORM" --sandbox "$SANDBOX" --dirs / --roots / --files /
`

// unit makes what the unit's ProtectSystem=strict, ReadWritePaths, RuntimeDirectory and CapabilityBoundingSet make.
func unit(t *testing.T, root string) (platformRoot, script, as string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), "deploy/systemd/mirrorcycle-wheels@.service"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		keys[key] = value
	}
	if keys["ProtectSystem"] != "strict" || keys["ReadWritePaths"] != "/srv/mirror/state/wheels/inbox/%i" || keys["RuntimeDirectory"] != "mirrorcycle/sandbox" {
		t.Fatalf("this test makes something else than the unit: %v", keys)
	}
	caps := "-all"
	for c := range strings.FieldsSeq(keys["CapabilityBoundingSet"]) {
		caps += "," + strings.ToLower(strings.Replace(c, "CAP_", "+", 1))
	}
	return root, `
mkdir -p /run/mirrorcycle/sandbox
for d in "$1" /run/mirrorcycle/sandbox; do mount --bind "$d" "$d"; done
mkdir "$HOUSE/private" && mount -t tmpfs tmpfs "$HOUSE/private" && export TMPDIR="$HOUSE/private"
while read -r _ _ _ _ at _; do
  at=$(printf '%b' "$at")
  case "$at" in "$1" | /run/mirrorcycle/sandbox | "$TMPDIR" | /dev | /dev/* | /proc | /proc/* | /sys | /sys/*) continue ;; esac
  mount -o remount,bind,ro "$at"
done < <(cat /proc/self/mountinfo)
` + try, "setpriv --bounding-set=" + caps
}

// user makes a container of the platform's root, in which the worker has a user and no rights.
func user(_ *testing.T, root string) (platformRoot, script, as string) {
	return "/", `
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mkdir -p "$ROOT$HOUSE"
mount --bind "$HOUSE" "$ROOT$HOUSE"
mount -o remount,bind,ro "$ROOT$HOUSE"
mount --bind "$1" "$ROOT$1"
cp "$WORKER" "$ROOT/tmp/worker"
WORKER=/tmp/worker
export HOME=/tmp
` + try, fmt.Sprintf("chroot --userspec=%[1]s:%[1]s %[2]s", stranger, root)
}

// newSmallMill is a mill with one platform, which wants one wheel.
func newSmallMill(t *testing.T, root, sandbox string) *mill {
	t.Helper()
	m := &mill{t: t, u: lab.NewUpstream(t), wants: t.TempDir(), offered: map[string][]lab.Object{}}
	m.House = lab.New(t, lab.Options{Regions: []string{"here"}, Window: "15m", Keep: "1h", NoWork: true, Mirrors: strings.Replace(m.u.PyPIMirror("pypi", "1h"),
		`projects = ["*"]`, `requirements = ["wheels"]`, 1) + fmt.Sprintf(`[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = %q
constraints = %q
build-timeout = "150s"
build-memory = "1GB"
sandbox = %q
platforms = [{ name = "small-%d", root = %q, python = %q }]
`, filepath.Join(m.wants, "global-requirements.txt"), filepath.Join(m.wants, "upper-constraints.txt"), sandbox, os.Getpid(), root,
		rootlab.Platforms[rootlab.Debian12].Python)})
	m.offer(rootlab.Packages(t))
	m.want([]string{"MarkupSafe==2.1.5"})
	return m
}
