package clientfiles_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallerStaysInItsRoot: a tree of another machine may hold links that
// mean something else here.
func TestInstallerStaysInItsRoot(t *testing.T) {
	script, err := os.ReadFile("install.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "curl"), []byte("#!/bin/sh\necho new\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "base=http://mirror.example.org/config\napt=\nyum=\npython=pypi\n" + string(script)
	for name, c := range map[string]struct {
		plant func(root, outside string) error
		fine  bool
	}{
		"nothing there": {func(root, _ string) error { return nil }, true},
		"a link within": {func(root, _ string) error {
			return errorsOf(os.Mkdir(root+"/real", 0o755), os.Symlink("real", root+"/etc"))
		}, true},
		"a link out":        {func(root, outside string) error { return os.Symlink(outside, root+"/etc") }, false},
		"a link to nowhere": {func(root, outside string) error { return os.Symlink(outside+"/none", root+"/etc") }, false},
		"a file that is one": {func(root, outside string) error {
			return errorsOf(os.Mkdir(root+"/etc", 0o755), os.Symlink(outside+"/pip.conf", root+"/etc/pip.conf"))
		}, true},
		"a new file that is": {func(root, outside string) error {
			return errorsOf(os.Mkdir(root+"/etc", 0o755), os.Symlink(outside+"/pip.conf", root+"/etc/pip.conf.new"))
		}, true},
		"a root beside its own": {func(root, outside string) error { return os.Symlink("../"+filepath.Base(outside), root+"/etc") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "rooted")
			if err := errorsOf(os.Mkdir(root, 0o755), os.Mkdir(outside, 0o755), c.plant(root, outside)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-s", "--", "--root", root, "pypi")
			cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.fine {
				t.Errorf("%v: %s", err, out)
			}
			if there, err := os.ReadDir(outside); err != nil || len(there) > 0 {
				t.Errorf("outside there is %v, %v", there, err)
			}
			if got, err := os.ReadFile(root + "/etc/pip.conf"); c.fine && (err != nil || string(got) != "new\n") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// errorsOf is the first error.
func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
