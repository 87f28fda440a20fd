package rpms_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/rootlab"
)

// client is one of the package managers in an empty root of its own.
type client struct {
	t    *testing.T
	kind string // dnf, dnf5, zypper
	host string // root of the client's own programs, "" for this machine
	dir  string // of what it installs, and its configuration
}

var kinds = []string{"dnf", "dnf5", "zypper"}

// newClient makes a root that knows one repository, with its packages signed by the keys.
func (w *world) newClient(t *testing.T, kind, keys string, urls ...string) *client {
	t.Helper()
	c := &client{t: t, kind: kind, dir: t.TempDir()}
	if kind == "dnf" {
		_, err := exec.LookPath("dnf")
		need.That(t, err == nil, "dnf")
	} else {
		c.host = rootlab.RpmClients(t)
		_, err := exec.LookPath("unshare")
		need.That(t, err == nil, "unshare")
	}
	data, err := os.ReadFile(keys)
	w.must(err)
	w.put(filepath.Join(c.dir, "keys.asc"), data)
	checks := "gpgcheck=1\nrepo_gpgcheck=0\n"
	if kind == "zypper" { // Debian's does not understand what its rpm 6 says of signed packages
		checks = "gpgcheck=0\nrepo_gpgcheck=1\npkg_gpgcheck=0\n"
	}
	repo := "[rpms]\nname=rpms\nbaseurl=" + strings.Join(urls, "\n  ") + "\nenabled=1\nautorefresh=1\n" + checks + "gpgkey=file://" + c.path("keys.asc") + "\nskip_if_unavailable=0\n"
	w.put(filepath.Join(c.dir, "repos/rpms.repo"), []byte(repo))
	w.put(filepath.Join(c.dir, "root/etc/zypp/repos.d/rpms.repo"), []byte(repo))
	w.put(filepath.Join(c.dir, "dnf.conf"), []byte("[main]\nplugins=0\nretries=1\nbest=0\nreposdir="+c.path("repos")+"\ncachedir="+c.path("cache")+"\n"))
	if kind == "zypper" { // it asks a person about keys
		c.must("rpm", "--root", c.path("root"), "--import", c.path("keys.asc"))
	}
	return c
}

// path is what the client calls a file of its directory.
func (c *client) path(name string) string {
	if c.host != "" {
		return filepath.Join("/mnt", name)
	}
	return filepath.Join(c.dir, name)
}

// run ends at the latest after two minutes. zypper leaves mounts behind, which go
// with the namespace.
func (c *client) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	switch {
	case args[0] == "rpm":
	case c.kind == "dnf":
		args = append([]string{"dnf", "-y", "--config", c.path("dnf.conf"), "--installroot", c.path("root"), "--releasever=9", "--forcearch=x86_64"}, args...)
	case c.kind == "dnf5":
		args = append([]string{"dnf5", "-y", "--config", c.path("dnf.conf"), "--use-host-config", "--installroot", c.path("root"), "--releasever=9", "--forcearch=x86_64", "--setopt=system_cachedir=" + c.path("cache")}, args...)
	case c.kind == "zypper":
		args = append([]string{"zypper", "--non-interactive", "--root", c.path("root")}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if c.host != "" {
		const script = `mount --bind "$1" "$2/mnt"; mount -t proc proc "$2/proc"; root=$2; shift 2; exec chroot "$root" "$@"`
		cmd = exec.CommandContext(ctx, "unshare", append([]string{"-m", "sh", "-euc", script, "sh", c.dir, c.host}, args...)...)
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *client) must(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", c.kind, strings.Join(args, " "), err, out)
	}
	return out
}

func (c *client) refused(args ...string) {
	c.t.Helper()
	if out, err := c.run(args...); err == nil {
		c.t.Errorf("%s %s was expected to fail:\n%s", c.kind, strings.Join(args, " "), out)
	}
}

func (c *client) holds(name, want string) {
	c.t.Helper()
	got, err := os.ReadFile(filepath.Join(c.dir, "root/opt", name, "content"))
	if err != nil || string(got) != want+"\n" {
		c.t.Errorf("%s: %s holds %q, %v", c.kind, name, got, err)
	}
}

// Words of the three for the same things.
var words = map[string]map[string][]string{
	"dnf": {"refresh": {"makecache"}, "upgrade": {"--refresh", "upgrade"}, "cached": {"--setopt=metadata_expire=never", "install"}, "group": {"group", "install", "core"},
		"module": {"module", "install", "mod:4"}, "updates": {"updateinfo", "list", "--all"}},
	// dnf5 5.4 asks nothing for --refresh within an installroot.
	"dnf5": {"refresh": {"makecache"}, "expire": {"clean", "expire-cache"}, "upgrade": {"upgrade"}, "cached": {"--setopt=metadata_expire=never", "install"}, "group": {"group", "install", "core"},
		"updates": {"advisory", "list", "--all"}},
	// zypper does not look again by itself within ten minutes.
	"zypper": {"refresh": {"refresh"}, "expire": {"refresh", "--force"}, "upgrade": {"update"}, "cached": {"--no-refresh", "install"}, "updates": {"list-patches"}},
}

func (c *client) word(what string, more ...string) []string {
	return append(append([]string(nil), words[c.kind][what]...), more...)
}
