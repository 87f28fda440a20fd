package cycle_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/workflows"
)

// TestYumMirror takes what real createrepo_c made through whole cycles, and has
// real dnf install from a region by the files that the region hands out, with
// every package's signature checked.
func TestYumMirror(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"dnf", "createrepo_c", "rpm"} {
		_, err := exec.LookPath(tool)
		lab.Need(t, tool, err == nil)
	}
	u := newRpms(t)
	u.publish(rpmrepotest.Package{Name: "alpha", Version: "1.0", Content: "alpha 1.0"}, rpmrepotest.Package{Name: "gamma++", Version: "1.0^git1", Content: "gamma"})
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Keep: "1h", Mirrors: "[[mirror]]\nname = \"rpms\"\nkind = \"yum\"\nupstream = [\"" + u.url + "\"]\n" +
		"repos = [\"9/os/$basearch\"]\narchitectures = [\"x86_64\"]\nkeyring = \"" + u.keyring + "\"\nproof = \"packages\"\ngrace = \"1h\"\n"})
	outcomes(t, h.Cycle(), workflows.Done)
	region := h.Regions["here"].URL
	fresh, old := newRpmClient(t, region), newRpmClient(t, region)
	fresh.must("install", "alpha", "gamma++")
	fresh.holds("alpha", "alpha 1.0\n")
	old.must("makecache")

	u.publish(rpmrepotest.Package{Name: "alpha", Version: "1.1", Content: "alpha 1.1"})
	outcomes(t, h.Cycle(), workflows.Done)
	fresh.must("--refresh", "upgrade")
	fresh.holds("alpha", "alpha 1.1\n")
	// Who read the old index before the release gets what it names after it.
	old.must("--setopt=metadata_expire=never", "install", "alpha-1.0", "gamma++")
	old.holds("alpha", "alpha 1.0\n")
	outcomes(t, h.Cycle(), workflows.Unchanged)

	// Controls, which must fail: a package that nobody signed is not mirrored, a
	// client that trusts other keys installs nothing, and neither does one whose
	// region is away.
	u.publish(rpmrepotest.Package{Name: "alpha", Version: "1.2", Content: "bad", Unsigned: true})
	outcomes(t, h.Cycle(), workflows.Partial)
	fresh.must("--refresh", "upgrade")
	fresh.holds("alpha", "alpha 1.1\n")
	stranger := newRpmClient(t, region)
	stranger.trust(debrepotest.ArmoredKeys(debrepotest.NewKey("stranger")))
	stranger.refused("install", "alpha")
	h.Regions["here"].Down(true)
	newRpmClient(t, region, fresh.repo).refused("install", "alpha")
}

// rpms is an upstream whose metadata createrepo_c writes.
type rpms struct {
	t            *testing.T
	dir          string
	url, keyring string
	key          *openpgp.Entity
}

func newRpms(t *testing.T) *rpms {
	t.Helper()
	u := &rpms{t: t, dir: filepath.Join(t.TempDir(), "9/os/x86_64"), key: debrepotest.NewKey("rpms")}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(u.dir, "../../.."))))
	t.Cleanup(server.Close)
	u.url, u.keyring = server.URL, filepath.Join(t.TempDir(), "keys.asc")
	put(t, u.keyring, debrepotest.ArmoredKeys(u.key))
	return u
}

// publish adds packages, and has the metadata written anew.
func (u *rpms) publish(packages ...rpmrepotest.Package) {
	u.t.Helper()
	for _, p := range packages {
		put(u.t, filepath.Join(u.dir, p.File()), p.Bytes(u.key))
	}
	if out, err := exec.Command("createrepo_c", "-q", u.dir).CombinedOutput(); err != nil {
		u.t.Fatalf("createrepo_c: %v\n%s", err, out)
	}
}

// rpmClient is real dnf in an empty root.
type rpmClient struct {
	t                *testing.T
	root, conf, repo string
}

// newRpmClient makes a root with the files that a region hands out. Plugins are
// off: one of Debian's keeps every package that was ever installed.
func newRpmClient(t *testing.T, region string, repo ...string) *rpmClient {
	t.Helper()
	dir := t.TempDir()
	c := &rpmClient{t: t, root: filepath.Join(dir, "root"), conf: filepath.Join(dir, "dnf.conf")}
	if len(repo) > 0 {
		c.repo = repo[0]
	} else {
		c.repo = get(t, region+"/config/yum/rpms.repo")
	}
	if !strings.Contains(c.repo, "skip_if_unavailable=0") || !strings.Contains(c.repo, "gpgcheck=1") {
		t.Errorf("the region's file is\n%s", c.repo)
	}
	put(t, filepath.Join(dir, "repos/rpms.repo"), []byte(c.repo))
	put(t, c.conf, []byte("[main]\nplugins=0\nretries=1\nreposdir="+filepath.Join(dir, "repos")+"\n"))
	return c
}

// trust replaces the keys that the client trusts.
func (c *rpmClient) trust(keys []byte) {
	c.t.Helper()
	file := filepath.Join(filepath.Dir(c.conf), "other.asc")
	put(c.t, file, keys)
	lines := strings.Split(c.repo, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "gpgkey=") {
			lines[i] = "gpgkey=file://" + file
		}
	}
	put(c.t, filepath.Join(filepath.Dir(c.conf), "repos/rpms.repo"), []byte(strings.Join(lines, "\n")))
}

// run ends at the latest after two minutes.
func (c *rpmClient) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dnf", append([]string{"-y", "--config", c.conf, "--installroot", c.root, "--releasever=9", "--forcearch=x86_64",
		"--setopt=cachedir=" + c.root + "/cache", "--setopt=keepcache=0"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *rpmClient) must(args ...string) {
	c.t.Helper()
	if out, err := c.run(args...); err != nil {
		c.t.Fatalf("dnf %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (c *rpmClient) refused(args ...string) {
	c.t.Helper()
	if out, err := c.run(args...); err == nil {
		c.t.Errorf("dnf %s went well:\n%s", strings.Join(args, " "), out)
	}
}

func (c *rpmClient) holds(name, want string) {
	c.t.Helper()
	if got, err := os.ReadFile(filepath.Join(c.root, "opt", name, "content")); err != nil || string(got) != want {
		c.t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
	}
}

func put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, res.Status, err)
	}
	return string(data)
}
