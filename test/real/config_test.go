package real_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
)

// TestClientFiles lets the region's own installer set machines up, and has
// apt-get, pip and uv install by nothing but what it wrote.
func TestClientFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	root := t.TempDir()
	w.install(t, root, "debian", "pypi")
	t.Run("deb822", func(t *testing.T) { w.aptBy(t, root, "debian-stable.sources", "") })
	t.Run("one line", func(t *testing.T) {
		w.aptBy(t, root, "debian-stable.list", w.config(t, "apt/stable/debian.list"))
	})
	t.Run("another key", func(t *testing.T) {
		other := debrepotest.PublicKeys(debrepotest.NewKey("other"))
		client := w.aptOf(t, root)
		must(t, os.WriteFile(filepath.Join(client.root, "etc/apt/keyrings/debian-mirror.gpg"), other, 0o644))
		fails(t, "the keyring that the region serves is what counts", "is not signed", client.update())
	})
	python := filepath.Join(w.in, "venv", "bin", "python")
	for _, i := range []*installer{byFile("pip", t, func(i *installer, target string, requirements ...string) error {
		i.cmd.env = append(i.cmd.env, "PIP_CONFIG_FILE="+filepath.Join(root, "etc/pip.conf"))
		_, err := run(i.cmd, python, append([]string{"-m", "pip", "--disable-pip-version-check", "install", "--no-cache-dir", "--target", target}, requirements...)...)
		return err
	}), byFile("uv", t, func(i *installer, target string, requirements ...string) error {
		_, err := run(i.cmd, filepath.Join(w.in, "uv", "bin", "uv"), append([]string{"--config-file", filepath.Join(root, "etc/uv/uv.toml"), "pip", "install",
			"--no-cache", "--no-python-downloads", "--python", python, "--target", target}, requirements...)...)
		return err
	})} {
		i.python = python
		t.Run(i.name, func(t *testing.T) {
			one := []string{changedProject}
			must(t, i.gets("", one, one))
			fails(t, "a project that the region lacks", foreignProject, i.gets("", []string{foreignProject}, nil))
		})
	}
}

// byFile is an installer that knows its index from a configuration file.
func byFile(name string, t *testing.T, install func(i *installer, target string, requirements ...string) error) *installer {
	i := &installer{name: name, home: t.TempDir()}
	i.cmd = bare(t.Context(), i.home)
	i.install = func(_, target string, requirements ...string) error { return install(i, target, requirements...) }
	return i
}

// install runs install.sh as its first lines say, for a machine below root.
func (w *world) install(t *testing.T, root string, mirrors ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-s", "--", "--root", root, "--dist", "stable"}, mirrors...)...)
	cmd.Stdin = strings.NewReader(w.config(t, "install.sh"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (w *world) config(t *testing.T, name string) string {
	t.Helper()
	resp, err := http.Get(w.url() + "/config/" + name)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", name, resp.Status)
	}
	return string(data)
}

// aptOf is an apt whose sources and settings are those below from.
func (w *world) aptOf(t *testing.T, from string) *apt {
	t.Helper()
	client := newApt(t, w.arch, "http://127.0.0.1:1", os.DevNull)
	etc := filepath.Join(client.root, "etc")
	must(t, os.Remove(filepath.Join(etc, "apt/sources.list")), os.RemoveAll(filepath.Join(etc, "apt/apt.conf.d")),
		os.RemoveAll(filepath.Join(etc, "apt/sources.list.d")), os.CopyFS(etc, os.DirFS(filepath.Join(from, "etc"))))
	w.moveKeyring(t, client, "debian-stable.sources")
	return client
}

// moveKeyring leads a source to the keyring below the client's root: apt takes
// the path of Signed-By as it is, whatever Dir says.
func (w *world) moveKeyring(t *testing.T, client *apt, name string) {
	t.Helper()
	name = filepath.Join(client.root, "etc/apt/sources.list.d", name)
	data, err := os.ReadFile(name)
	must(t, err)
	moved := bytes.ReplaceAll(data, []byte("/etc/apt/keyrings/"), []byte(client.root+"/etc/apt/keyrings/"))
	if bytes.Equal(moved, data) {
		t.Fatalf("%s names no keyring:\n%s", name, data)
	}
	must(t, os.WriteFile(name, moved, 0o644))
}

// aptBy updates and downloads by one source; with content that is the file instead of the deb822 one.
func (w *world) aptBy(t *testing.T, root, name, content string) {
	client := w.aptOf(t, root)
	sources := filepath.Join(client.root, "etc/apt/sources.list.d")
	if content != "" {
		must(t, os.Remove(filepath.Join(sources, "debian-stable.sources")), os.WriteFile(filepath.Join(sources, name), []byte(content), 0o644))
		w.moveKeyring(t, client, name)
	}
	out, err := run(client.cmd, "apt-config", "dump")
	must(t, err)
	for _, want := range []string{`Acquire::Retries "3";`, `Acquire::By-Hash "yes";`} {
		if !strings.Contains(out, want) {
			t.Errorf("apt does not know %s", want)
		}
	}
	must(t, client.update(), client.gets(find(t, w.debs, changedPackage)))
	_, err = client.install(foreignPackage)
	fails(t, fmt.Sprintf("%s by %s", foreignPackage, name), "Unable to locate package", err)
}
