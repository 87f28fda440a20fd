package yum_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
)

// TestDnf has real dnf install from a tree that mirrors what real createrepo_c
// made, and fail where the tree lacks what its index names.
func TestDnf(t *testing.T) {
	for _, tool := range []string{"dnf", "createrepo_c", "rpm"} {
		_, err := exec.LookPath(tool)
		need.That(t, err == nil, tool)
	}
	s := newSite(t, nil)
	createrepo(t, s, good)
	s.must()
	s.holds("os")
	region := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(s.b.Dir, "tree"))))
	t.Cleanup(region.Close)
	d := newDnf(t, region.URL+"/os", s.cfg.Keyring)
	if out, err := d.run("install", "alpha", "gamma++"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(d.root, "opt/alpha/content")); err != nil || string(got) != "alpha1.0\n" {
		t.Errorf("alpha holds %q, %v", got, err)
	}

	// A client whose index is older than the release still finds what it names.
	old := newDnf(t, region.URL+"/os", s.cfg.Keyring)
	if out, err := old.run("makecache"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	createrepo(t, s, next)
	s.must()
	if out, err := old.run("-C", "repoquery", "alpha"); err != nil || !strings.Contains(out, "1.0") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := old.run("--setopt=metadata_expire=never", "install", "alpha-1.0"); err != nil {
		t.Errorf("a client with the old index: %v\n%s", err, out)
	}
	if out, err := d.run("--refresh", "upgrade"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(d.root, "opt/alpha/content")); err != nil || string(got) != "alpha1.1\n" {
		t.Errorf("after the upgrade alpha holds %q, %v", got, err)
	}

	// Controls: these must fail.
	tree := filepath.Join(s.b.Dir, "tree")
	if err := os.Remove(filepath.Join(tree, "os/beta-2.0~rc1-1.noarch.rpm")); err != nil {
		t.Fatal(err)
	}
	if out, err := d.run("install", "beta"); err == nil {
		t.Errorf("dnf installed a package that is not there:\n%s", out)
	}
	if err := os.Rename(filepath.Join(tree, "os/repodata"), filepath.Join(tree, "os/aside")); err != nil {
		t.Fatal(err)
	}
	if out, err := d.run("--refresh", "makecache"); err == nil {
		t.Errorf("dnf accepts a repository without metadata:\n%s", out)
	}
}

// createrepo publishes the packages as createrepo_c lists them.
func createrepo(t *testing.T, s *site, packages []rpmrepotest.Package) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range packages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), p.Bytes(s.key), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("createrepo_c", "-q", "--database", dir).CombinedOutput(); err != nil {
		t.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		files["os/"+rel], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.edit(func(all map[string][]byte) {
		clear(all)
		for name, data := range files {
			all[name] = data
		}
	})
}

type dnf struct {
	t                 *testing.T
	root, conf, repos string
}

// newDnf makes an empty root that trusts the keys and knows one repository.
// Without plugins: Debian's keeps every package that was ever installed as another repository.
func newDnf(t *testing.T, url, keyring string) *dnf {
	t.Helper()
	dir := t.TempDir()
	d := &dnf{t, filepath.Join(dir, "root"), filepath.Join(dir, "dnf.conf"), filepath.Join(dir, "repos")}
	if err := os.MkdirAll(d.repos, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[main]\nplugins=0\nskip_if_unavailable=0\nretries=1\nmetadata_expire=1\nreposdir=" + d.repos + "\n"
	repo := "[region]\nname=region\nbaseurl=" + url + "\nenabled=1\ngpgcheck=0\nskip_if_unavailable=0\ngpgkey=file://" + keyring + "\n"
	for name, text := range map[string]string{d.conf: text, filepath.Join(d.repos, "region.repo"): repo} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// run runs dnf in the root; it ends at the latest after a minute.
func (d *dnf) run(args ...string) (string, error) {
	all := append([]string{"-y", "--config", d.conf, "--installroot", d.root, "--releasever=9", "--setopt=cachedir=" + d.root + "/cache", "--setopt=keepcache=0"}, args...)
	cmd := exec.CommandContext(d.t.Context(), "dnf", all...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}
