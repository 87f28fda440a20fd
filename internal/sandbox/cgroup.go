package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// controllers says where this machine limits memory and processes: one directory
// of cgroup v2, or two of v1. Ours are below them.
type controllers struct {
	memory, pids string
	v2           bool
	parent       string // the cgroup in them that holds those of all commands
}

// defaultParent is the parent of all workers of a machine.
const defaultParent = "mirrorcycle"

// findControllers reads the mounts. v1 is preferred where both exist, because a
// controller is on one side only.
func findControllers(mountinfo, parent string) (controllers, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return controllers{}, missing("cgroups", err, "mount /proc")
	}
	defer f.Close()
	c := controllers{parent: parent}
	v2 := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		left, right, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(left), strings.Fields(right)
		if len(where) < 5 || len(what) < 3 {
			continue
		}
		options := strings.Split(what[2], ",")
		switch {
		case what[0] == "cgroup2":
			v2 = where[4]
		case what[0] == "cgroup" && slices.Contains(options, "memory"):
			c.memory = where[4]
		case what[0] == "cgroup" && slices.Contains(options, "pids"):
			c.pids = where[4]
		}
	}
	if c.memory == "" || c.pids == "" {
		have, _ := os.ReadFile(filepath.Join(v2, "cgroup.controllers"))
		if list := strings.Fields(string(have)); v2 == "" || !slices.Contains(list, "memory") || !slices.Contains(list, "pids") {
			return c, missing("memory and pids cgroups", nil, "mount cgroup2 with the controllers memory and pids, or both of version 1")
		}
		c = controllers{memory: v2, pids: v2, v2: true, parent: parent}
	}
	return c, c.prepare()
}

// prepare makes the cgroup that holds ours.
func (c controllers) prepare() error {
	for _, dir := range c.dirs() {
		if c.v2 {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory +pids"), 0) // systemd did it already, or the next write fails
		}
		ours := filepath.Join(dir, c.parent)
		err := os.Mkdir(ours, 0o755)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		if err == nil && c.v2 {
			err = os.WriteFile(filepath.Join(ours, "cgroup.subtree_control"), []byte("+memory +pids"), 0)
		}
		if err != nil {
			return missing("cgroup "+ours, err, "let the worker write cgroups (in a container: a writable, private cgroup namespace)")
		}
	}
	return c.inherit()
}

// dirs are the different hierarchies.
func (c controllers) dirs() []string {
	if c.v2 {
		return []string{c.memory}
	}
	return []string{c.memory, c.pids}
}

// names lists the cgroups that there are.
func (c controllers) names() []string {
	var names []string
	for _, dir := range c.dirs() {
		entries, _ := os.ReadDir(filepath.Join(dir, c.parent))
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(names, e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// group is the cgroup of one command.
type group struct {
	c    controllers
	name string
}

func (g group) in(dir string) string { return filepath.Join(dir, g.c.parent, g.name) }

func (g group) paths() []string {
	var out []string
	for _, dir := range g.c.dirs() {
		out = append(out, g.in(dir))
	}
	return out
}

// create makes the group with its limits. The user's lock must be held, so that
// what is there under the name is a dead worker's.
func (g group) create(memory int64, pids int) error {
	if err := g.remove(); err != nil {
		return err
	}
	for _, dir := range g.paths() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return missing("cgroup "+dir, err, "let the worker write cgroups")
		}
	}
	settings := [][3]string{
		{g.c.memory, "memory.limit_in_bytes", strconv.FormatInt(memory, 10)},
		{g.c.memory, "memory.memsw.limit_in_bytes", strconv.FormatInt(memory, 10)},
		{g.c.pids, "pids.max", strconv.Itoa(pids)},
	}
	if g.c.v2 {
		settings = [][3]string{
			{g.c.memory, "memory.max", strconv.FormatInt(memory, 10)},
			{g.c.memory, "memory.swap.max", "0"},
			{g.c.pids, "pids.max", strconv.Itoa(pids)},
		}
	}
	for _, s := range settings {
		name := filepath.Join(g.in(s[0]), s[1])
		err := os.WriteFile(name, []byte(s[2]), 0)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(s[1], "sw") {
			continue // a kernel without accounting of swap
		}
		if err != nil {
			return missing("limit "+name, err, "let the worker write cgroups")
		}
	}
	return nil
}

func (g group) procs() []int {
	var out []int
	for _, dir := range g.paths() {
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for _, word := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() && !slices.Contains(out, pid) {
				out = append(out, pid)
			}
		}
	}
	return out
}

// kill ends every process of the group. No new one can start meanwhile, so a few
// rounds are enough.
func (g group) kill() {
	_ = os.WriteFile(filepath.Join(g.in(g.c.pids), "pids.max"), []byte("0"), 0)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		procs := g.procs()
		if len(procs) == 0 {
			return
		}
		for _, pid := range procs {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond) // until the kernel has taken them away
	}
}

// remove kills what is in the group and removes it; a group that is not there is removed.
func (g group) remove() error {
	for _, dir := range g.paths() {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		g.kill()
		err := os.Remove(dir)
		for deadline := time.Now().Add(5 * time.Second); errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond) // a process that died is counted until it is reaped
			err = os.Remove(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sandbox: remove cgroup: %w", err)
		}
	}
	return nil
}

// events reads what the limits did.
func (g group) events(out *Outcome) {
	oom, peak := "memory.oom_control", "memory.max_usage_in_bytes"
	if g.c.v2 {
		oom, peak = "memory.events", "memory.peak"
	}
	out.OOMKills = int(counter(filepath.Join(g.in(g.c.memory), oom), "oom_kill"))
	out.Refused = int(counter(filepath.Join(g.in(g.c.pids), "pids.events"), "max"))
	out.MaxMemory = counter(filepath.Join(g.in(g.c.memory), peak), "")
}

// counter reads the number behind a word, or the only one of a file.
func counter(name, word string) int64 {
	data, _ := os.ReadFile(name)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 1 && word == "" || len(f) == 2 && f[0] == word {
			n, _ := strconv.ParseInt(f[len(f)-1], 10, 64)
			return n
		}
	}
	return 0
}
