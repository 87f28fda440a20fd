package afs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/tree"
)

// operated is a rig with a spec and the starter on its writer, as an operator has it.
type operated struct {
	*rig
	dir  string // the same here and in every host
	name string // the mirror's, behind the prefix "t"
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	c := afslab.Up(t)
	o := &operated{rig: &rig{cell: c, volume: c.Volume(t, afslab.Options{}), next: 1}, dir: t.TempDir()}
	c.Bind(t, o.dir)
	o.name = strings.TrimPrefix(o.volume.Name, "t")
	o.cfg = tree.Config{Dir: c.Path(afslab.Writer, o.volume.RW), State: filepath.Join(o.dir, "state", o.name), Holder: "test", Now: o.now}
	root := filepath.Join(o.dir, "trees") // the cell's mount points are of one level: a link leads to ours
	if err := errors.Join(os.Mkdir(root, 0o755), os.Symlink(o.volume.RW, filepath.Join(root, o.name)),
		os.Mkdir(filepath.Dir(o.cfg.State), 0o755), os.Symlink(o.name, filepath.Join(filepath.Dir(o.cfg.State), o.volume.Name))); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`[cycle]
name = "afs"
[storage]
name = "afs"
root = %q
state = %q
min-free = "1MB"
[afs]
cell = %q
volume-prefix = "t"
write-principal = "mirror"
write-keytab = %q
release-principal = "release"
release-keytab = %q
quota = "1GB"
`, root, filepath.Join(o.dir, "state"), afslab.Name, afslab.Keytab("mirror"), afslab.Keytab("release"))
	for i, s := range sites {
		text += fmt.Sprintf("[[region]]\nname = \"region%d\"\nafs = { server = %q, partition = \"a\" }\nurl = \"http://region%d.example.org\"\n", i+1, c.Addr(s), i+1)
	}
	text += fmt.Sprintf("[[mirror]]\nname = %q\nkind = \"pypi\"\nupstream = [\"http://index.example.org\"]\nprojects = [\"a\"]\n", o.name)
	build := exec.Command("go", "build", "-o", filepath.Join(o.dir, "starter"), "./starter")
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "mirrors.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return o
}

// starter runs a command on the writer; it wants this exit status, and returns what was printed.
func (o *operated) starter(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := o.cell.Command(t.Context(), afslab.Writer, append([]string{"env", "MIRRORCYCLE_SPEC=" + filepath.Join(o.dir, "mirrors.toml"),
		"TEMPORAL_ADDRESS=127.0.0.1:1", filepath.Join(o.dir, "starter")}, args...)...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("starter %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, status, out)
	}
	return string(out)
}

// identify reads the identity that setup made.
func (o *operated) identify(t *testing.T) {
	t.Helper()
	tr, err := tree.Read(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.tree = tr.ID().Tree
	tr.Close()
}

// TestOperatorsCommands: an operator sets a volume up, asks the doctor, restores
// an older tree, lets it rise above what the sites hold, and has one site made anew.
func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	o := newOperated(t)
	if out := o.starter(t, 0, "setup", "--offline"); !strings.Contains(out, "missing: "+o.volume.Name+": its quota is 2000000 KB") {
		t.Errorf("setup did not say what is missing:\n%s", out)
	}
	if out := o.starter(t, 0, "setup", "--offline", "--volumes"); !strings.Contains(out, "done: "+o.volume.Name+": its quota") {
		t.Errorf("setup did not do it:\n%s", out)
	}
	if out := o.starter(t, 0, "setup", "--offline", "--volumes"); strings.Contains(out, "done:") || !strings.Contains(out, "nothing is missing") {
		t.Errorf("the second time:\n%s", out)
	}
	o.identify(t)
	o.commit(t, "a", "b")
	o.released(t, 1)
	out := o.starter(t, 1, "doctor")
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, "problem") && !strings.Contains(l, "temporal server") {
			t.Errorf("the doctor says: %s", l)
		}
	}
	if n := strings.Count(out, "it lets everybody read"); n != len(sites) {
		t.Errorf("%d sites that everybody may read:\n%s", n, out)
	}

	saved := filepath.Join(o.dir, "saved")
	if out, err := exec.Command("cp", "-a", o.cfg.State, saved).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dump := filepath.Join(o.dir, "dump")
	o.vos(t, "dump", "-id", o.volume.Name, "-file", dump, "-localauth")
	o.commit(t, "a", "c")
	o.released(t, 2)
	o.vos(t, "restore", "-server", o.cell.Addr(afslab.FS0), "-partition", "a", "-name", o.volume.Name, "-file", dump, "-overwrite", "full", "-localauth")
	if err := errors.Join(os.RemoveAll(o.cfg.State), os.Rename(saved, o.cfg.State)); err != nil {
		t.Fatal(err)
	}
	until(t, "the writer sees the restored tree", func() bool {
		s, err := tree.ReadServed(o.cfg.Dir)
		return err == nil && s.Number == 1
	})
	if _, err := o.publish(t, o.options(t)); !errors.Is(err, fault.Stale) {
		t.Fatalf("a release of the old tree: %v", err)
	}
	o.starter(t, 2, "region", "rebuild", "region1")
	if out := o.starter(t, 0, "region", "rebuild", "region1", "--yes"); !strings.Contains(out, "as generation 3 now, above 2") {
		t.Errorf("rebuild of the region that is ahead:\n%s", out)
	}
	tr, err := tree.Open(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tr.Seal(3), tr.Close()); err != nil {
		t.Fatal(err)
	}
	o.held(t, 3)

	if out := o.starter(t, 0, "region", "rebuild", "region2", "--yes"); !strings.Contains(out, "the site of region region2 is empty") {
		t.Errorf("rebuild of a region:\n%s", out)
	}
	if !strings.Contains(o.entry(t), "Not released") {
		t.Errorf("the site was not made anew:\n%s", o.entry(t))
	}
	o.held(t, 3)
	o.starter(t, 2, "region", "retire", "region3")
	if out := o.starter(t, 0, "region", "retire", "region3", "--yes"); !strings.Contains(out, "take it out of the spec") {
		t.Errorf("retire:\n%s", out)
	}
	if strings.Contains(o.entry(t), o.cell.Addr(afslab.FS3)) {
		t.Errorf("the retired site is in the database:\n%s", o.entry(t))
	}
}

// commit commits and seals the next generation of a tree that setup made.
func (o *operated) commit(t *testing.T, packages ...string) { t.Helper(); o.generation(t, packages...) }
