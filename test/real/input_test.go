package real_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
)

// What upstream has. The first ones stay throughout; with the change gone*
// leaves, later* comes, and changed* gets a new version.
const (
	packages       = "hello tree jq bc less pv zip unzip dos2unix patch time xxd figlet lsof diffstat cpio rename ed cowsay mawk"
	changedPackage = "hello"
	gonePackage    = "tree"
	laterPackage   = "sl"

	wheels = "six idna certifi urllib3 packaging attrs click jinja2 markupsafe charset-normalizer requests pyyaml typing-extensions " +
		"filelock platformdirs pluggy iniconfig setuptools wheel"
	sdist          = "docopt"
	changedProject = "six"
	goneProject    = "iniconfig"
	laterProject   = "zipp"

	// What the machine's own archive and index have, and upstream has not: a
	// client that finds them does not read from the region.
	foreignPackage = "nano"
	foreignProject = "colorama"
)

var shared struct {
	once sync.Once
	dir  string
	err  error
}

// input is the directory with everything that was downloaded:
// debs/, projects/, old/ (the older version of changedProject), venv/ and uv/.
func input(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() { shared.dir, shared.err = cached() })
	lab.Need(t, fmt.Sprint("no real packages: ", shared.err), shared.err == nil)
	return shared.dir
}

// python is the first Python that can make virtual environments.
func python() (name, version string, err error) {
	for _, name = range []string{"python3", "/usr/bin/python3"} {
		if version, err = run(machine(), name, "-c", "import ensurepip, venv, sys; print(sys.executable, sys.version)"); err == nil {
			return name, version, nil
		}
	}
	return "", "", fmt.Errorf("no python3 with venv: %w", err)
}

// cached returns a directory of .cache that is complete, since its name is given last.
// The name follows from what is downloaded and for what.
func cached() (string, error) {
	name, version, err := python()
	if err != nil {
		return "", err
	}
	system, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	root := filepath.Join(lab.Root(), ".cache", "real")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	// The first word changes when what follows here does something else.
	recipe := strings.Join([]string{"1", runtime.GOARCH, string(system), version, packages, laterPackage, wheels, sdist, laterProject}, "\n")
	dir := filepath.Join(root, fmt.Sprintf("%x", sha256.Sum256([]byte(recipe)))[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	stage := filepath.Join(root, "stage")
	if err := errors.Join(os.RemoveAll(stage), os.Mkdir(stage, 0o755)); err != nil {
		return "", err
	}
	if err := errors.Join(downloadDebs(stage), downloadProjects(stage, name)); err != nil {
		return "", err
	}
	return dir, os.Rename(stage, dir)
}

// downloadDebs asks the machine's own archive for the packages and all that
// they need where nothing is installed. The machine's apt configuration is not
// read (its hooks would act on the machine), but for how to reach the archive.
func downloadDebs(stage string) error {
	work, err := os.MkdirTemp("", "mirrorcycle-apt")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	config := "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n" + isolation(work)
	dump, err := run(machine(), "apt-config", "dump")
	if err != nil {
		return err
	}
	for line := range strings.Lines(dump) {
		if strings.HasPrefix(line, "Acquire::http::Proxy") || strings.HasPrefix(line, "Acquire::https::") {
			config += line
		}
	}
	file := filepath.Join(work, "apt.conf")
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o644), layout(work)); err != nil {
		return err
	}
	c := command{env: append(machine().env, "APT_CONFIG="+file), dir: work}
	if _, err := run(c, "apt-get", "update"); err != nil {
		return err
	}
	args := append([]string{"-y", "--download-only", "install", laterPackage}, strings.Fields(packages)...)
	if _, err := run(c, "apt-get", args...); err != nil {
		return err
	}
	// A copy, as temporary directories may be another file system.
	_, err = run(c, "cp", "-r", filepath.Join(work, "cache", "archives"), filepath.Join(stage, "debs"))
	return err
}

// layout makes the directories that isolation names, with no package installed.
func layout(root string) error {
	return errors.Join(os.MkdirAll(filepath.Join(root, "state", "lists", "partial"), 0o755),
		os.MkdirAll(filepath.Join(root, "cache", "archives", "partial"), 0o755), os.WriteFile(filepath.Join(root, "status"), nil, 0o644))
}

// isolation is configuration that keeps apt's state below root. Any index
// that cannot be had is an error, where apt by itself would go on with old ones.
func isolation(root string) string {
	return fmt.Sprintf(`Dir::State "%[1]s/state";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Log "%[1]s/log";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
`, root)
}

// downloadProjects asks the machine's own index, with its own configuration.
func downloadProjects(stage, python string) error {
	if _, err := run(machine(), python, "-m", "venv", filepath.Join(stage, "venv")); err != nil {
		return err
	}
	pip := func(args ...string) error {
		_, err := run(machine(), filepath.Join(stage, "venv", "bin", "python"), append([]string{"-m", "pip", "--disable-pip-version-check", "-q"}, args...)...)
		return err
	}
	to := filepath.Join(stage, "projects")
	err := errors.Join(
		pip(append([]string{"download", "--only-binary", ":all:", "-d", to, laterProject}, strings.Fields(wheels)...)...),
		pip("download", "--no-deps", "--no-binary", sdist, "-d", to, sdist),
		pip("install", "--target", filepath.Join(stage, "uv"), "uv"))
	if err != nil {
		return err
	}
	newest, err := filepath.Glob(filepath.Join(to, changedProject+"-*.whl"))
	if err != nil || len(newest) != 1 {
		return fmt.Errorf("%s: %v %w", changedProject, newest, err)
	}
	version := strings.Split(filepath.Base(newest[0]), "-")[1]
	return pip("download", "--no-deps", "--only-binary", ":all:", "-d", filepath.Join(stage, "old"), changedProject+"<"+version)
}

// command is the surroundings of a program.
type command struct {
	env []string
	dir string
	ctx context.Context // nil for a quarter of an hour
}

// machine is the surroundings of this process.
func machine() command { return command{env: append(os.Environ(), "LC_ALL=C")} }

// run returns what a program printed; a failure has it in its text.
func run(c command, name string, args ...string) (string, error) {
	ctx := c.ctx
	if ctx == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}
