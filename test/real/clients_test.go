package real_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// bare is the surroundings of a client: nothing of this machine's
// configuration, as that may name other indexes or switch checks off.
func bare(ctx context.Context, home string, env ...string) command {
	return command{ctx: ctx, dir: home, env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C"}, env...)}
}

// apt is a machine with nothing installed and one source, as apt sees it.
type apt struct {
	root string
	cmd  command
}

// newApt trusts keyring for what url has, and nothing else.
func newApt(t *testing.T, arch, url, keyring string) *apt {
	t.Helper()
	root := t.TempDir()
	etc := filepath.Join(root, "etc", "apt")
	config := fmt.Sprintf("Dir %q;\nAPT::Architecture %q;\nAPT::Architectures { %q; };\n", root, arch, arch) + isolation(root)
	source := fmt.Sprintf("deb [signed-by=%s] %s stable main\n", keyring, url)
	err := errors.Join(layout(root), os.MkdirAll(filepath.Join(etc, "sources.list.d"), 0o755), os.MkdirAll(filepath.Join(etc, "apt.conf.d"), 0o755),
		os.MkdirAll(filepath.Join(etc, "preferences.d"), 0o755), os.MkdirAll(filepath.Join(etc, "trusted.gpg.d"), 0o755),
		os.WriteFile(filepath.Join(root, "apt.conf"), []byte(config), 0o644), os.WriteFile(filepath.Join(etc, "sources.list"), []byte(source), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return &apt{root: root, cmd: bare(t.Context(), root, "APT_CONFIG="+filepath.Join(root, "apt.conf"))}
}

func (a *apt) update() error {
	_, err := run(a.cmd, "apt-get", "update")
	return err
}

// install downloads packages with all they need, and returns the files.
func (a *apt) install(names ...string) ([]string, error) {
	if _, err := run(a.cmd, "apt-get", "clean"); err != nil {
		return nil, err
	}
	if _, err := run(a.cmd, "apt-get", append([]string{"-y", "--download-only", "install"}, names...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(a.root, "cache", "archives", "*.deb"))
}

// gets downloads one package by the lists at hand, and compares it.
func (a *apt) gets(want deb) error {
	dir, err := os.MkdirTemp(a.root, "download")
	if err != nil {
		return err
	}
	c := a.cmd
	c.dir = dir
	if _, err := run(c, "apt-get", "download", want.name); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%v %w", files, err)
	}
	if data, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(data, want.data) {
		return fmt.Errorf("%s is not %s %s (%v)", filepath.Base(files[0]), want.name, want.version, err)
	}
	return nil
}

// installer is pip or uv: it installs requirements from an index into a directory.
type installer struct {
	name    string
	install func(index, target string, requirements ...string) error
	home    string
	python  string
	cmd     command
}

// newInstallers returns pip and uv, each with a home of its own.
func newInstallers(t *testing.T, in string) []*installer {
	t.Helper()
	python := filepath.Join(in, "venv", "bin", "python")
	pip := &installer{name: "pip", home: t.TempDir(), python: python}
	pip.cmd = bare(t.Context(), pip.home, "PIP_CONFIG_FILE="+os.DevNull)
	pip.install = func(index, target string, requirements ...string) error {
		_, err := run(pip.cmd, python, append([]string{"-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-cache-dir",
			"--retries", "0", "--index-url", index, "--target", target}, requirements...)...)
		return err
	}
	uv := &installer{name: "uv", home: t.TempDir(), python: python}
	uv.cmd = bare(t.Context(), uv.home, "UV_NO_CONFIG=1", "UV_HTTP_RETRIES=0")
	uv.install = func(index, target string, requirements ...string) error {
		_, err := run(uv.cmd, filepath.Join(in, "uv", "bin", "uv"), append([]string{"pip", "install", "--no-cache", "--no-python-downloads",
			"--python", python, "--default-index", index, "--target", target}, requirements...)...)
		return err
	}
	return []*installer{pip, uv}
}

// gets installs requirements from scratch and imports modules out of nowhere else.
func (i *installer) gets(index string, requirements, modules []string) error {
	target, err := os.MkdirTemp(i.home, "target")
	if err != nil {
		return err
	}
	if err := i.install(index, target, requirements...); err != nil {
		return err
	}
	code := `import importlib, sys
target, *modules = sys.argv[1:]
sys.path.insert(0, target)
for m in modules:
    name, _, version = m.partition("==")
    got = importlib.import_module(name)
    assert got.__file__.startswith(target + "/"), got.__file__
    assert not version or got.__version__ == version, got.__version__
`
	_, err = run(i.cmd, i.python, append([]string{"-c", code, target}, modules...)...)
	return err
}
