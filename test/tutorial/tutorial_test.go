// Package tutorial_test follows docs/tutorial.md as a stranger does: in a Debian that has only git, make and Go.
package tutorial_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/local"
	"mirrorcycle/internal/rootlab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// TestTutorial runs every command in one shell, in a root and a network of its
// own, so that ports are as the tutorial shows them. Two things are ready that a
// reader waits for: the embedded Temporal server and the downloads of apt and Go.
func TestTutorial(t *testing.T) {
	rootlab.NeedSandbox(t)
	server := filepath.Join(lab.Root(), "bin", local.Program)
	_, err := os.Stat(server)
	lab.Need(t, "no Temporal server: make bin/temporal-dev", err == nil)
	steps, files := script(t)
	s := enter(t)
	for _, step := range steps {
		if step.file {
			s.write(filepath.Join(s.cwd, step.text), files[step.text])
			continue
		}
		s.run(step)
		if strings.HasPrefix(step.text, "git clone ") {
			// Built anew it takes minutes; its own suite tests it. make sees that it is newer than its sources.
			s.write("root/mirrorcycle/bin/"+local.Program, read(t, server))
			s.cwd = "root/mirrorcycle"
		}
	}
}

// shell is bash in a root.
type shell struct {
	t      *testing.T
	root   string
	cwd    string // below root, without a slash
	in     io.Writer
	out    *lab.Process
	count  int
	digest string // of the plan that was held last
}

func enter(t *testing.T) *shell {
	t.Helper()
	s := &shell{t: t, root: rootlab.Newcomer(t)}
	s.clone()
	env := goEnv(t)
	args := []string{"--bind", s.root, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--unshare-net", "--die-with-parent", "--chdir", "/root",
		"--ro-bind", env["GOROOT"], "/usr/local/go", "--bind", env["GOCACHE"], env["GOCACHE"], "--ro-bind", env["GOMODCACHE"], env["GOMODCACHE"],
		"--clearenv", "--setenv", "PATH", "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--setenv", "HOME", "/root",
		"--setenv", "LANG", "C.UTF-8", "--setenv", "GOPROXY", "off", "--setenv", "GOCACHE", env["GOCACHE"], "--setenv", "GOMODCACHE", env["GOMODCACHE"],
		"--setenv", "DEBIAN_FRONTEND", "noninteractive", "bash"}
	cmd := exec.Command("bwrap", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, lab.Spawn(t, cmd)
	fmt.Fprintln(in, "set -m") // jobs get process groups of their own, as at a terminal
	return s
}

// clone makes the repository that git clone finds: the tree under test.
func (s *shell) clone() {
	s.t.Helper()
	bare := filepath.Join(s.root, "srv", "mirrorcycle.git")
	const script = `cd "$1"; git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - | tar -x -C "$2"
cd "$2"; export GIT_CONFIG_GLOBAL=/dev/null
git init -q; git add -A; git -c user.name=test -c user.email=test@example.org commit -qm test; git clone -q --bare . "$3"`
	if out, err := exec.Command("bash", "-euc", script, "clone", lab.Root(), s.t.TempDir(), bare).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	s.write("root/.gitconfig", "[url \"file:///srv/mirrorcycle.git\"]\n\tinsteadOf = https://git.example.org/mirrorcycle.git\n")
}

func (s *shell) write(name, content string) {
	s.t.Helper()
	name = filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var approve = regexp.MustCompile(`starter approve \S+ ([0-9a-f]{8,64})`)

func (s *shell) run(c step) {
	s.t.Helper()
	s.count++
	begin := len(s.out.String())
	command := strings.ReplaceAll(c.text, "DIGEST", s.digest)
	if c.ctrlC {
		fmt.Fprintln(s.in, command+" < /dev/null &")
		for _, want := range c.before {
			s.out.Await(want)
		}
		command = "kill -INT -- -$!; wait $!"
	}
	// Nothing that it starts may read what the shell is told next.
	fmt.Fprintf(s.in, "{ %s\n} < /dev/null\necho \"-- %d ended: $?\"\n", command, s.count)
	status := s.out.Await(fmt.Sprintf(`-- %d ended: (\d+)\n`, s.count))[1]
	text := strings.TrimSuffix(s.out.String()[begin:], fmt.Sprintf("-- %d ended: %s\n", s.count, status))
	s.t.Logf("$ %s\n%s", c.text, text)
	if m := approve.FindStringSubmatch(text); m != nil {
		s.digest = m[1]
	}
	if status != fmt.Sprint(c.status) && !c.ctrlC {
		s.t.Fatalf("line %d: %s: exit status %s, want %d", c.line, c.text, status, c.status)
	}
	for _, want := range append(c.before, c.after...) {
		if !regexp.MustCompile(want).MatchString(text) {
			s.t.Fatalf("line %d: %s: nothing matches %s", c.line, c.text, want)
		}
	}
}

// goEnv is where Go keeps what it has.
func goEnv(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, name := range []string{"GOROOT", "GOCACHE", "GOMODCACHE"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env[name] = strings.TrimSpace(string(out))
	}
	return env
}
