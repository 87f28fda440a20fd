package archives_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/need"
	"mirrorcycle/mirrorspec"
)

// client is a machine with nothing installed, as apt sees it.
type client struct {
	t    *testing.T
	root string
}

// newClient makes a machine whose only source is text.
func newClient(t *testing.T, text string, conf ...string) *client {
	t.Helper()
	c := &client{t: t, root: t.TempDir()}
	config := fmt.Sprintf(`Dir %[1]q;
Dir::State %[1]q"/state";
Dir::State::status %[1]q"/status";
Dir::Cache %[1]q"/cache";
Dir::Log %[1]q"/log";
Dir::Etc %[1]q"/etc";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "i386"; };
APT::Update::Error-Mode "any";
Acquire::http::Proxy "false";
#clear Acquire::Languages;
Acquire::Languages { "en"; "de"; };
`, c.root)
	config = strings.ReplaceAll(config, `""`, "")
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "log", "etc/sources.list.d", "etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	name := "archive.list"
	if strings.Contains(text, "Types:") {
		name = "archive.sources"
	}
	err := errors.Join(os.WriteFile(filepath.Join(c.root, "status"), nil, 0o644),
		os.WriteFile(filepath.Join(c.root, "apt.conf"), []byte(config), 0o644),
		os.WriteFile(filepath.Join(c.root, "etc/sources.list.d", name), []byte(text), 0o644),
		os.WriteFile(filepath.Join(c.root, "etc/apt.conf.d/60more"), []byte(strings.Join(conf, "\n")+"\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asks configures apt as the packages apt-file, appstream and command-not-found do, and switches all of it on.
func (c *client) asks() {
	c.t.Helper()
	for _, name := range []string{"50apt-file.conf", "50appstream", "50command-not-found"} {
		data, err := os.ReadFile("/etc/apt/apt.conf.d/" + name)
		need.That(c.t, err == nil, "not installed: the package of /etc/apt/apt.conf.d/"+name)
		if err := os.WriteFile(filepath.Join(c.root, "etc/apt.conf.d", name), data, 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	more := "#clear APT::Update::Post-Invoke-Success;\n"
	for _, id := range []string{"deb::CNF", "deb::DEP-11-icons-small", "deb::DEP-11-icons", "deb::Contents-udeb", "deb-src::Contents-dsc"} {
		more += fmt.Sprintf("Acquire::IndexTargets::%s::DefaultEnabled \"true\";\n", id)
	}
	if err := os.WriteFile(filepath.Join(c.root, "etc/apt.conf.d/90all"), []byte(more), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.root
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.root, "LC_ALL=C", "APT_CONFIG=" + filepath.Join(c.root, "apt.conf")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}

// update wants apt-get update to get everything.
func (c *client) update() string {
	c.t.Helper()
	out, err := c.run("apt-get", "update")
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// gets wants apt-get to download a package of that version.
func (c *client) gets(name, version string) {
	c.t.Helper()
	if _, err := c.run("apt-get", "download", name+"="+version); err != nil {
		c.t.Error(err)
	}
}

// file is the client file that a region at url hands out for m, with the keyring where it lies.
func (m *mirror) file(t *testing.T, url, suffix string) string {
	t.Helper()
	base, name, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	spec := m.spec
	if spec.Name = name; name == "" {
		spec.Name = "archive"
	}
	keys, err := os.ReadFile(spec.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	files := clientfiles.For(clientfiles.Options{Kinds: func(mirrorspec.Kind) clientfiles.Kind { return clientfiles.Apt }, Region: mirrorspec.Region{Name: "here", URL: "http://" + base},
		Mirrors: []mirrorspec.Mirror{spec}, Keyrings: map[string][]byte{spec.Name: keys}})
	for p, text := range files {
		if strings.HasSuffix(p, suffix) {
			text = bytes.ReplaceAll(text, []byte("/etc/apt/keyrings/"+spec.Name+"-mirror.gpg"), []byte(spec.Keyring))
			if name == "" { // the tree is served at the root
				text = bytes.ReplaceAll(text, []byte(url+"/archive"), []byte(url))
			}
			return string(text)
		}
	}
	t.Fatalf("no client file %s in %d", suffix, len(files))
	return ""
}
