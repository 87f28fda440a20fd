package rootlab

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

// Sources are real projects, pure and compiled, at the versions of which Set has
// source distributions; Changed are ten of them at other versions.
var (
	Sources = []string{"MarkupSafe==2.1.5", "PyYAML==6.0.2", "msgpack==1.1.0", "greenlet==3.1.1", "SQLAlchemy==2.0.36", "cffi==1.17.1", "wrapt==1.17.0",
		"psutil==6.1.0", "simplejson==3.19.3", "bitarray==3.0.0", "six==1.17.0", "idna==3.10", "certifi==2024.8.30", "pytz==2024.2", "chardet==5.2.0",
		"decorator==5.1.1", "docutils==0.21.2", "wcwidth==0.2.13", "toml==0.10.2", "ply==3.11", "pyparsing==3.2.0", "packaging==24.2",
		"typing_extensions==4.12.2", "Jinja2==3.1.4", "itsdangerous==2.2.0"}
	Changed = []string{"MarkupSafe==3.0.2", "wrapt==1.17.2", "simplejson==3.20.1", "six==1.16.0", "idna==3.9", "certifi==2024.7.4", "pytz==2024.1", "toml==0.10.1",
		"packaging==24.1", "Jinja2==3.1.5"}
)

// Lacking names the sources that the roots cannot build, and why: the class of the failure.
var Lacking = map[string]string{"cffi": "header-missing", "greenlet": "compiler"}

// Compiled names the sources of which each platform has a wheel of its own.
var Compiled = []string{"markupsafe", "pyyaml", "msgpack", "sqlalchemy", "wrapt", "psutil", "simplejson", "bitarray"}

// needed is what they need, to be built and to run, in all versions that they ask for.
var needed = [][]string{{"setuptools==80.9.0", "wheel==0.45.1", "flit-core==3.12.0", "cython==3.1.2", "pycparser==2.22"}, {"cython==3.0.12"}}

const uv = "uv==0.13.9"

// Set returns two directories: one with the source distributions of Sources, what
// their builds need and uv, and one with those of Changed. They are downloaded
// once by the machine's own pip.
func Set(tb testing.TB) (first, changed string) {
	tb.Helper()
	made.Lock()
	defer made.Unlock()
	pure := []string{"--only-binary", ":all:", "--platform", "any"}
	runs := [][]string{sourceArgs(Sources), {uv}}
	for _, n := range needed {
		runs = append(runs, append(slices.Clip(pure), n...))
	}
	first, err := pipDownload("wheelset", recent, runs)
	if err == nil {
		changed, err = pipDownload("wheelset-changed", recent, [][]string{sourceArgs(Changed)})
	}
	need.That(tb, err == nil, fmt.Sprint("no real source distributions: ", err))
	return first, changed
}

// Field are source distributions of every build backend that is common, of
// OpenStack's own projects (pbr), and of compiled ones, with the class of the
// failure of those that the roots lack something for.
var Field = map[string]string{
	"pbr==6.0.0": "", "oslo.i18n==6.3.0": "", "oslo.utils==7.1.0": "", "oslo.config==9.4.0": "", "stevedore==5.2.0": "", "debtcollector==3.0.0": "",
	"python-keystoneclient==5.4.0": "", "cliff==4.6.0": "", "reno==4.1.0": "", "os-client-config==2.1.0": "", // pbr
	"MarkupSafe==2.1.5": "", "PyYAML==6.0.2": "", "simplejson==3.19.3": "", "wrapt==1.17.0": "", "netifaces==0.11.0": "", "msgpack==1.1.0": "", // compiled
	"six==1.17.0": "", "pyinotify==0.9.6": "", "netaddr==1.3.0": "", "ply==3.11": "", // setup.py
	"python-dateutil==2.9.0.post0": "", "tenacity==9.0.0": "", // setuptools-scm
	"idna==3.10": "", "typing_extensions==4.12.2": "", // flit
	"attrs==24.2.0": "", "urllib3==2.2.3": "", "platformdirs==4.3.6": "", // hatchling and its plugins
	"tomlkit==0.13.2": "", "rich==13.9.4": "", // poetry
	"findpython==0.6.2":    "",                                           // pdm
	"meson-python==0.17.1": "dependency",                                 // meson, which asks for ninja while it runs
	"bcrypt==4.2.0":        "compiler", "cffi==1.17.1": "header-missing"} // Rust, and a library

// fieldTools build them.
var fieldTools = [][]string{{"setuptools==80.9.0", "wheel==0.45.1", "flit-core==3.12.0", "hatchling==1.27.0", "hatch-vcs==0.4.0", "hatch-fancy-pypi-readme==24.1.0",
	"setuptools-scm==8.1.0", "packaging==24.2", "pathspec==0.12.1", "pluggy==1.5.0", "trove-classifiers==2024.10.21.16", "poetry-core==1.9.1", "pdm-backend==2.4.3",
	"pbr==6.1.1", "tomli==2.2.1", "typing-extensions==4.12.2", "cython==3.1.2", "meson==1.6.1", "pyproject-metadata==0.9.0", "meson-python==0.17.1",
	"importlib-metadata==8.5.0", "zipp==3.21.0", "pycparser==2.22", "setuptools-rust==1.10.2", "semantic-version==2.10.0"}, {"cython==3.0.12", "setuptools-scm==7.1.0"}}

// FieldSet returns a directory with the source distributions of these pins of
// Field and what their builds need, downloaded once by the machine's own pip.
func FieldSet(tb testing.TB, pins []string) string {
	tb.Helper()
	made.Lock()
	defer made.Unlock()
	runs := [][]string{sourceArgs(pins)}
	for _, n := range fieldTools {
		runs = append(runs, append([]string{"--only-binary", ":all:", "--platform", "any"}, n...))
	}
	dir, err := pipDownload("fieldset", recent, runs)
	need.That(tb, err == nil, fmt.Sprint("no real source distributions: ", err))
	return dir
}

// sourceArgs asks pip for the source distributions of pins.
func sourceArgs(pins []string) []string {
	names := make([]string, len(pins))
	for i, p := range pins {
		names[i], _, _ = strings.Cut(p, "==")
	}
	return append([]string{"--no-binary", strings.Join(names, ",")}, pins...)
}

// recent bounds what pip asks sources for their metadata with: some of them need
// the setuptools of their time.
const recent = "setuptools<81\n"

// pipDownload runs pip download with each of these arguments, once per recipe.
func pipDownload(name, bound string, runs [][]string) (string, error) {
	cache, unlock, err := Cache(name)
	if err != nil {
		return "", err
	}
	defer unlock()
	recipe := sha256.Sum256([]byte(fmt.Sprint(runs)))
	dir, stage := filepath.Join(cache, hex.EncodeToString(recipe[:6])), filepath.Join(cache, "stage")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	bounds := filepath.Join(cache, "constraints.txt")
	if err := os.WriteFile(bounds, []byte(bound), 0o644); err != nil {
		return "", err
	}
	for _, args := range runs {
		cmd := exec.Command("python3", append([]string{"-m", "pip", "--isolated", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", stage}, args...)...)
		cmd.Env = append(os.Environ(), "PIP_CONSTRAINT="+bounds, "PIP_BUILD_CONSTRAINT="+bounds)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("pip download: %w: %s", err, out[max(0, len(out)-500):])
		}
	}
	return dir, os.Rename(stage, dir)
}

// PinOf splits the file name of a source distribution or wheel.
func PinOf(file string) (name, version string) {
	if f, err := wheel.ParseFilename(file); err == nil {
		return simpleindex.Normalize(f.Name), f.Version
	}
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".tar.gz"), ".zip")
	i := strings.LastIndexByte(stem, '-')
	return simpleindex.Normalize(stem[:i]), stem[i+1:]
}

// Enter runs a shell script in a root that is read-only, with an empty /tmp and
// the machine's network, as somebody does who works on that platform. What is
// bound maps paths in the root to files or directories of the machine.
func Enter(root, script string, bound map[string]string) *exec.Cmd {
	args := []string{"--ro-bind", root, "/", "--tmpfs", "/tmp", "--tmpfs", "/opt", "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--die-with-parent",
		"--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8", "--setenv", "PIP_CONFIG_FILE", "/dev/null",
		"--setenv", "PIP_DISABLE_PIP_VERSION_CHECK", "1", "--setenv", "UV_NO_CONFIG", "1"}
	for to, from := range bound {
		args = append(args, "--ro-bind", from, to)
	}
	return exec.Command("bwrap", append(args, "sh", "-euc", script)...)
}

// UV takes the program out of its wheel in a directory of Set.
func UV(tb testing.TB, set string) string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(set, "uv-*.whl"))
	if err != nil || len(found) != 1 {
		tb.Fatal(found, err)
	}
	z, err := zip.OpenReader(found[0])
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/scripts/uv") {
			return extract(tb, f)
		}
	}
	tb.Fatal("the wheel of uv has no program")
	return ""
}

func extract(tb testing.TB, f *zip.File) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "uv")
	in, err := f.Open()
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return to
}
