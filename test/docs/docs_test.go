// Package docs_test runs the commands that the documents show.
//
// A block whose info string is "sh run" is run by bash, in a directory with
// mirrors.toml and bin/; for "sh run after a cycle" a worker runs there, and one
// cycle has ended. A plain "sh" block stands in elsewhere, with the reason.
package docs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// elsewhere has the blocks that are not run here, by file and first line.
var elsewhere = map[string]string{
	"README.md: make run":                        "starter up goes on until it is interrupted; test/cycle runs it. make test would run this test",
	"README.md: bin/starter init":                "writes a spec of this machine's own upstreams; starter's scripts run it",
	"docs/afs.md: starter validate mirrors.toml": "needs an AFS cell; test/afs sets one up with these commands",
	"docs/clients.md: curl -fsS":                 "changes the machine that it runs on; test/real runs the installer in roots",
	"docs/deployment.md: make prodlike":          "goes on until it is interrupted; test/deploy runs it",
	"docs/deployment.md: cp deploy/docker":       "needs a container engine; test/deploy reads what it would start",
	"docs/operations.md: debootstrap":            "needs root and a Debian archive; internal/rootlab makes its roots so",
}

// others are documents whose blocks other tests run.
var others = map[string]bool{"docs/tutorial.md": true, "docs/web-ui.md": true}

// block is a fenced part of a document.
type block struct {
	info, text string
	line       int
}

func blocks(t *testing.T, file string) []block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), file))
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	var now *block
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && now == nil:
			now = &block{info: info, line: n}
		case fence:
			out, now = append(out, *now), nil
		case now != nil:
			now.text += line
		}
	}
	if now != nil {
		t.Fatalf("%s:%d: the block does not end", file, now.line)
	}
	return out
}

func documents(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(lab.Root(), "docs/*.md"))
	if err != nil || len(found) < 10 {
		t.Fatalf("%d documents, %v", len(found), err)
	}
	out := []string{"README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"}
	for _, name := range found {
		if name = "docs/" + filepath.Base(name); !others[name] {
			out = append(out, name)
		}
	}
	return out
}

// TestEveryBlockIsKnown: each block is run, or named above, or is no commands.
func TestEveryBlockIsKnown(t *testing.T) {
	used := map[string]bool{}
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			switch b.info {
			case "":
				t.Errorf("%s:%d: say what the block is: sh run, sh, text, toml, …", file, b.line)
			case "sh":
				found := false
				for key := range elsewhere {
					if name, first, _ := strings.Cut(key, ": "); name == file && strings.HasPrefix(b.text, first) {
						used[key], found = true, true
					}
				}
				if !found {
					t.Errorf("%s:%d: make it %q, or name it in test/docs with the reason why not", file, b.line, "sh run")
				}
			}
		}
	}
	for key := range elsewhere {
		if !used[key] {
			t.Errorf("%s: there is no such block any more", key)
		}
	}
}

// TestBlocksRun runs them, each in a house of its own.
func TestBlocksRun(t *testing.T) {
	ran := 0
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			if b.info != "sh run" && b.info != "sh run after a cycle" {
				continue
			}
			ran++
			t.Run(fmt.Sprintf("%s-%d", strings.TrimSuffix(filepath.Base(file), ".md"), b.line), func(t *testing.T) {
				p := newPlace(t)
				if b.info == "sh run after a cycle" {
					p.work(t)
				}
				if out, err := p.sh(t, b.text); err != nil {
					t.Errorf("%s:%d: %v\n%s\n%s", file, b.line, err, b.text, out)
				}
			})
		}
	}
	if ran < 5 {
		t.Errorf("%d blocks were run", ran)
	}
}

// TestABlockThatFailsIsSeen is the control: an error in the middle counts.
func TestABlockThatFailsIsSeen(t *testing.T) {
	p := newPlace(t)
	for _, text := range []string{"starter frobnicate\ntrue\n", "curl -fsS http://mirror.dfw.example.org/none | sh\ntrue\n", "starter validate absent.toml\ntrue"} {
		if out, err := p.sh(t, text); err == nil {
			t.Errorf("%s ended well: %s", text, out)
		}
	}
}

// storage is the name of the documents' storage.
const storage = "main"

// regions of a place; the documents name dfw's web server.
var regions = []string{"dfw", "ord"}

// place is a directory as the documents' readers have it, with mirrors.toml and bin/.
type place struct {
	house   *lab.House
	up      *lab.Upstream
	dir     string
	env     []string
	replace *strings.Replacer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"))
	u.Project("nova", "1.0")
	h := lab.New(t, lab.Options{Regions: regions, NoWork: true, Every: "1h", Mirrors: u.AptMirror("debian", "1h") + u.PyPIMirror("pypi", "1h")})
	spec := filepath.Join(h.Dir, "mirrors.toml")
	data, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "[storage]\nname = \""+h.Spec.Storage.Name+"\"", "[storage]\nname = \""+storage+"\"", 1)
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(lab.Program(t, "starter"))
	if err := os.Symlink(bin, filepath.Join(h.Dir, "bin")); err != nil {
		t.Fatal(err)
	}
	env := lab.Environ("TEMPORAL_ADDRESS="+h.Address, "HOME="+t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"))
	below := func(elem ...string) string { return filepath.Join(append([]string{h.Dir}, elem...)...) }
	return &place{h, u, h.Dir, env, strings.NewReplacer("http://mirror.dfw.example.org", h.Regions["dfw"].URL, "127.0.0.1:9464", lab.FreeAddress(t),
		"/srv/mirror/trees", below("trees"), "/srv/mirror/state", below("state"), "/srv/mirror/dfw", below("regions", "dfw"),
		"/srv/mirror/ord", below("regions", "ord"), "/srv/new", below("new"))}
}

// work starts a worker, and runs a cycle to its end.
func (p *place) work(t *testing.T) {
	t.Helper()
	worker := exec.Command(lab.Program(t, "worker"), "--roles", "cycle,sync:"+storage)
	worker.Env, worker.Dir = p.env, p.dir
	lab.Spawn(t, worker)
	p.run(t, "starter run")
}

// run wants a script to end well.
func (p *place) run(t *testing.T, text string) {
	t.Helper()
	if out, err := p.sh(t, text); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, out)
	}
}

// sh runs a block as one script that ends with its first error, and what it
// left in the background with it.
func (p *place) sh(t *testing.T, text string) (string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), lab.Patience)
	defer stop()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"+p.replace.Replace(text))
	cmd.Env, cmd.Dir = p.env, p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	return string(out), err
}
