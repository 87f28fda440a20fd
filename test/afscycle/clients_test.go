package afscycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
)

// reader is apt-get, pip or uv on the host of a region's web server: it has
// this machine's programs and that host's network, which ends at the region.
type reader struct {
	w    *world
	p    place
	name string
	// lists reads the indexes; fetch then gets what they named.
	lists func(ctx context.Context) (named []string, err error)
	fetch func(ctx context.Context, named []string) error

	agent string // what its program calls itself in requests

	mu       sync.Mutex
	rounds   int
	excused  []string // failures that no promise forbids
	broken   []string // others
	powerOff bool     // the region's file server has been off since the round began
}

// run runs a program with the network of the region's host, and nothing of this machine's configuration.
func (c *reader) run(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	args := append([]string{"-t", fmt.Sprint(c.w.cell.Init(c.p.web)), "-n", "--"}, argv...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C"}, env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, last(out, 2000))
	}
	return string(out), err
}

// aptClient reads all lists, and downloads by them every package that they name.
func aptClient(w *world, p place) *reader {
	c := &reader{w: w, p: p, name: "apt-get in " + p.name, agent: "Debian APT"}
	root := w.t.TempDir()
	etc := filepath.Join(root, "etc", "apt")
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d"} {
		must(w.t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	// Dir is set in a file of its own: as an option it would come after this machine's configuration.
	config := fmt.Sprintf("Dir \"%[1]s\";\nDir::State \"%[1]s/state\";\nDir::State::status \"%[1]s/status\";\nDir::Cache \"%[1]s/cache\";\nDir::Log \"%[1]s/log\";\n"+
		"APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\nAPT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\n", root)
	source := "deb [signed-by=" + filepath.Join(w.dir, "keyring.gpg") + "] " + w.url(p) + "/debian %s main\n"
	must(w.t, os.WriteFile(filepath.Join(root, "status"), nil, 0o644), os.WriteFile(filepath.Join(root, "apt.conf"), []byte(config), 0o644),
		os.WriteFile(filepath.Join(etc, "sources.list"), []byte(fmt.Sprintf(source, "demo")+fmt.Sprintf(source, "demo-updates")), 0o644))
	env := []string{"APT_CONFIG=" + filepath.Join(root, "apt.conf")}
	c.lists = func(ctx context.Context) ([]string, error) {
		if _, err := c.run(ctx, root, env, "apt-get", "update"); err != nil {
			return nil, err
		}
		out, err := c.run(ctx, root, env, "apt-cache", "madison", "demo-clock", "demo-dice", "demo-hello", "demo-notes", "demo-tides", "demo-weather", "demo-words", "libdemo-common")
		var named []string
		for line := range strings.Lines(out) { // name | version | origin
			if f := strings.Split(line, "|"); len(f) == 3 && !strings.Contains(f[2], "Sources") {
				named = append(named, strings.TrimSpace(f[0])+"="+strings.TrimSpace(f[1]))
			}
		}
		if err == nil && len(named) < 8 {
			err = fmt.Errorf("the lists name %d packages: %s", len(named), out)
		}
		return named, err
	}
	c.fetch = func(ctx context.Context, named []string) error {
		dir, err := os.MkdirTemp(root, "download")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		// One at a time: two versions of a package are one name to apt.
		for _, n := range named {
			if _, err := c.run(ctx, dir, env, "apt-get", "download", n); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// python is a virtual environment with its own pip.
var python = sync.OnceValues(func() (string, error) {
	dir, err := lab.Scratch()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		var out []byte
		if out, err = exec.Command(name, "-m", "venv", dir).CombinedOutput(); err == nil {
			return filepath.Join(dir, "bin", "python"), nil
		}
		err = fmt.Errorf("%s -m venv: %w %s", name, err, out)
	}
	return "", err
})

// projects are those of the demo that any Python may install; the one left out
// is quarantined now and then, which clients cannot tell from a lost file.
func projects(t *testing.T, quarantined map[string]bool) []string {
	t.Helper()
	var names []string
	for _, n := range []string{"demo-abacus", "demo-calendar", "demo-doodle", "demo-echo", "demo-gauge", "demo-haiku", "demo-index"} {
		if !quarantined[n] {
			names = append(names, n)
		}
	}
	return names
}

// pipClient resolves the projects to pinned URLs with digests, as a lock file has them, and installs these.
func pipClient(w *world, p place, names []string) *reader {
	program, err := python()
	lab.Need(w.t, fmt.Sprint("no python3 with venv: ", err), err == nil)
	c := &reader{w: w, p: p, name: "pip in " + p.name, agent: "pip/"}
	home := w.t.TempDir()
	env := []string{"PIP_CONFIG_FILE=" + os.DevNull}
	pip := func(ctx context.Context, args ...string) error {
		_, err := c.run(ctx, home, env, append([]string{program, "-m", "pip", "--isolated", "--disable-pip-version-check"}, args...)...)
		return err
	}
	host := w.cell.Addr(p.web)
	c.lists = func(ctx context.Context) ([]string, error) {
		report := filepath.Join(home, "report.json")
		err := pip(ctx, append([]string{"install", "--trusted-host", host, "--dry-run", "--ignore-installed", "--no-deps", "--no-cache-dir", "--no-build-isolation", "--quiet",
			"--report", report, "--index-url", w.url(p) + "/pypi/simple/"}, names...)...)
		if err != nil {
			return nil, err
		}
		return pins(report)
	}
	c.fetch = func(ctx context.Context, named []string) error {
		dir, err := os.MkdirTemp(home, "download")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		return pip(ctx, append([]string{"download", "--trusted-host", host, "--no-deps", "--no-cache-dir", "--no-build-isolation", "--quiet", "--no-index", "-d", dir}, named...)...)
	}
	return c
}

// pins are the URLs with digests in a report of pip.
func pins(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r struct {
		Install []struct {
			Metadata struct{ Name string }
			Download struct {
				URL     string
				Archive struct{ Hashes map[string]string } `json:"archive_info"`
			} `json:"download_info"`
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	var named []string
	for _, i := range r.Install {
		named = append(named, fmt.Sprintf("%s @ %s#sha256=%s", i.Metadata.Name, i.Download.URL, i.Download.Archive.Hashes["sha256"]))
	}
	if len(named) == 0 {
		err = errors.New("pip resolved nothing")
	}
	return named, err
}

// uvClient installs the projects from scratch by the index; it has no step between reading pages and fetching.
func uvClient(w *world, p place, names []string) *reader {
	found, _ := filepath.Glob(filepath.Join(lab.Root(), ".cache", "real", "*", "uv", "bin", "uv"))
	uv, err := exec.LookPath("uv")
	if len(found) > 0 {
		uv, err = found[0], nil
	}
	program, pythonErr := python()
	if err != nil || pythonErr != nil {
		return nil // suite real brings it
	}
	c := &reader{w: w, p: p, name: "uv in " + p.name, agent: "uv/"}
	home := w.t.TempDir()
	c.lists = func(context.Context) ([]string, error) { return names, nil }
	c.fetch = func(ctx context.Context, named []string) error {
		target, err := os.MkdirTemp(home, "target")
		if err != nil {
			return err
		}
		defer os.RemoveAll(target)
		_, err = c.run(ctx, home, []string{"UV_NO_CONFIG=1"}, append([]string{uv, "pip", "install", "--quiet", "--no-cache", "--no-deps", "--only-binary", ":all:", "--no-python-downloads",
			"--python", program, "--default-index", w.url(p) + "/pypi/simple/", "--target", target}, named...)...)
		return err
	}
	return c
}

// off says whether the region's file server has power. A round that it missed any of is excused.
func (c *reader) off(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOff = is
}

// round reads the lists, lets them become old, and fetches what they named. It
// returns false when a promise was broken, or ctx has ended.
func (c *reader) round(ctx context.Context) bool {
	c.mu.Lock()
	off := c.powerOff
	c.mu.Unlock()
	read := time.Now()
	named, err := c.lists(ctx)
	if err == nil {
		select {
		case <-c.w.flips.wait():
		case <-time.After(grace / 2): // the lists are to be younger than the grace
		case <-ctx.Done():
		}
	}
	if err == nil {
		err = c.fetch(ctx, named)
	}
	age := time.Since(read)
	if ctx.Err() != nil {
		return false
	}
	got := c.answers(read)
	missing := slices.ContainsFunc(got, func(a answer) bool { return a.status == http.StatusNotFound })
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil && !missing:
		c.rounds++
	case age > grace:
		c.excused = append(c.excused, fmt.Sprintf("lists of %s: %v", age, err))
	case missing:
		c.broken = append(c.broken, fmt.Sprintf("%s, lists of %s: 404: %v: %v", time.Now().Format(time.TimeOnly), age, got, err))
		return false
	case off || c.powerOff:
		c.excused = append(c.excused, "server off: "+err.Error())
	case silence.MatchString(err.Error()) || slices.ContainsFunc(got, answer.none):
		c.excused = append(c.excused, "no answer: "+err.Error())
	default:
		c.broken = append(c.broken, fmt.Sprintf("%s, lists of %s: %v: %v", time.Now().Format(time.TimeOnly), age, got, err))
		return false
	}
	return true
}

// silence is what clients say of a web server that waits for its file server.
var silence = regexp.MustCompile(`\b503\b|(?i)timed? ?out|Connection failed`)

// answer is a line of a web server's log.
type answer struct {
	status int
	path   string
}

// none tells whether the server had nothing to answer with. pip does not tell
// that from a project that is missing.
func (a answer) none() bool { return a.status >= 500 || a.status == 499 }

func (a answer) String() string { return fmt.Sprint(a.status, " ", a.path) }

// answers are what the region's server has told clients of this kind since a time, successes left out.
func (c *reader) answers(since time.Time) []answer {
	log, err := os.ReadFile(filepath.Join(c.w.dir, c.p.web, "access.log"))
	if err != nil {
		return nil
	}
	var out []answer
	for line := range strings.Lines(string(log)) {
		var a answer
		var seconds float64
		if n, _ := fmt.Sscan(line, &seconds, &a.status, &a.path); n == 3 && a.status >= 400 && since.Before(time.UnixMilli(int64(seconds*1000))) &&
			strings.Contains(line, " "+c.agent) {
			out = append(out, a)
		}
	}
	return out
}
