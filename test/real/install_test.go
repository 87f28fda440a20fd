package real_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// installs has apt-get fetch all packages with their closure, unpacks them into
// one root, and runs programs with the libraries of that root.
func (w *world) installs(t *testing.T, client *apt) {
	files, err := client.install(strings.Fields(packages)...)
	must(t, err)
	root := t.TempDir()
	ours := strings.Fields(packages)
	var plain []string // packages of ours that dpkg can install without running anything
	seen := 0
	for _, f := range files {
		_, err := run(machine(), "dpkg-deb", "-x", f, root)
		must(t, err)
		d, err := readDeb(f)
		must(t, err)
		if want := find(t, w.debs, d.name); d.version != want.version {
			t.Errorf("%s %s, want %s", d.name, d.version, want.version)
		}
		if !slices.Contains(ours, d.name) {
			continue
		}
		seen++
		if !hasScripts(t, f) {
			plain = append(plain, f)
		}
	}
	t.Logf("%d packages with their closure", len(files))
	if seen != len(ours) {
		t.Errorf("%d of %d packages came: %v", seen, len(ours), files)
	}
	if got, err := w.inRoot(root, "hello"); err != nil || !strings.Contains(got, "Hello, world!") {
		t.Errorf("hello: %q %v", got, err)
	}
	if got, err := w.inRoot(root, "jq", "-n", "6*7"); err != nil || strings.TrimSpace(got) != "42" {
		t.Errorf("jq: %q %v", got, err)
	}
	if os.Geteuid() == 0 {
		dpkgInstalls(t, plain)
	}
}

// hasScripts reports whether dpkg would run something of the package.
func hasScripts(t *testing.T, file string) bool {
	t.Helper()
	dir := t.TempDir()
	_, err := run(machine(), "dpkg-deb", "-e", file, dir)
	must(t, err)
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm", "config"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// dpkgInstalls installs packages into a root of their own. What they depend on
// has scripts that need a whole system, so dpkg is told not to mind.
func dpkgInstalls(t *testing.T, files []string) {
	t.Helper()
	root := t.TempDir()
	admin := filepath.Join(root, "var", "lib", "dpkg")
	must(t, os.MkdirAll(filepath.Join(admin, "updates"), 0o755), os.MkdirAll(filepath.Join(admin, "info"), 0o755),
		os.WriteFile(filepath.Join(admin, "status"), nil, 0o644))
	_, err := run(machine(), "dpkg", append([]string{"--root=" + root, "--log=" + os.DevNull, "--force-depends", "--install"}, files...)...)
	must(t, err)
	out, err := run(machine(), "dpkg-query", "--admindir="+admin, "-W", "-f", "${Package} ${db:Status-Status}\n")
	must(t, err)
	if got := strings.Count(out, " installed\n"); got != len(files) || got < 5 {
		t.Errorf("%d of %d are installed:\n%s", got, len(files), out)
	}
}

// inRoot runs a program of an unpacked root with that root's loader and libraries.
func (w *world) inRoot(root, program string, args ...string) (string, error) {
	loaders, err := filepath.Glob(filepath.Join(root, "lib*", "*", "ld-*.so*"))
	if err != nil || len(loaders) == 0 {
		loaders, err = filepath.Glob(filepath.Join(root, "usr", "lib*", "*", "ld-*.so*"))
	}
	if err != nil || len(loaders) == 0 {
		return "", os.ErrNotExist
	}
	name := filepath.Base(filepath.Dir(loaders[0]))
	libraries := filepath.Join(root, "lib", name) + ":" + filepath.Join(root, "usr", "lib", name)
	return run(bare(w.t.Context(), root), loaders[0], append([]string{"--library-path", libraries, filepath.Join(root, "usr", "bin", program)}, args...)...)
}
