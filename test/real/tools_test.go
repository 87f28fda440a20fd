package real_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
)

// indexes are the programs that serve or mirror Python indexes, as pip installs them.
const indexes = "pypiserver devpi-server devpi-client bandersnatch"

var servers struct {
	once sync.Once
	dir  string
	err  error
}

// tools is a directory with these programs' modules, for PYTHONPATH.
func tools(t *testing.T, in string) string {
	t.Helper()
	servers.once.Do(func() { servers.dir, servers.err = installed(in) })
	lab.Need(t, fmt.Sprint("no ", indexes, ": ", servers.err), servers.err == nil)
	return servers.dir
}

// installed returns a directory of .cache that is complete, since its name is given last.
func installed(in string) (string, error) {
	root := filepath.Join(lab.Root(), ".cache", "real")
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	dir := filepath.Join(root, fmt.Sprintf("tools-%x", sha256.Sum256([]byte(in+"\n"+indexes)))[:18])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	stage := filepath.Join(root, "tools-stage")
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	args := append([]string{"-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", stage}, strings.Fields(indexes)...)
	if _, err := run(machine(), filepath.Join(in, "venv", "bin", "python"), args...); err != nil {
		return "", err
	}
	return dir, os.Rename(stage, dir)
}

// tool calls a function of a module that is installed there, as its script would.
func (i *indexServers) tool(home, module, function string, args ...string) (c command, program string, argv []string) {
	c = bare(i.t.Context(), home, "PYTHONPATH="+i.modules, "PYTHONDONTWRITEBYTECODE=1", "DEVPI_CLIENTDIR="+home)
	code := fmt.Sprintf("import sys; sys.argv[0] = %q; from %s import %s as main; sys.exit(main())", module, module, function)
	return c, i.python, append([]string{"-c", code}, args...)
}

func (i *indexServers) calls(home, module, function string, args ...string) {
	i.t.Helper()
	c, program, argv := i.tool(home, module, function, args...)
	_, err := run(c, program, argv...)
	must(i.t, err)
}

func copyFile(from, dir string) error {
	data, err := os.ReadFile(from)
	return errors.Join(err, os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o644))
}
