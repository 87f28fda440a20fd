package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// tools are the programs around a command.
type tools struct{ bwrap, setpriv, prlimit string }

func findTools() (tools, error) {
	var t tools
	for _, p := range []struct {
		name, debian string
		path         *string
	}{{"bwrap", "bubblewrap", &t.bwrap}, {"setpriv", "util-linux", &t.setpriv}, {"prlimit", "util-linux", &t.prlimit}} {
		path, err := exec.LookPath(p.name)
		if err != nil {
			return t, missing("program "+p.name, err, "install it (Debian: "+p.debian+")")
		}
		*p.path = path
	}
	return t, nil
}

// Sizes of the private file systems beside /tmp, and what the sandbox itself
// takes of the command's memory, in bytes.
const (
	homeSize = 64 << 20
	shmSize  = 64 << 20
	overhead = 32 << 20
)

// spare is by how much the user's own limit of processes is above the cgroup's,
// which is to be met first because it counts what it refuses.
const spare = 64

// Everybody in the sandbox is this user; outside it is the one of user.go.
const insideUID = "1000"

// enter writes the shell that moves itself into the cgroups, before anything
// untrusted runs, and becomes the rest of its arguments.
const enter = `set -e; n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1/cgroup.procs"; shift; n=$((n-1)); done
exec "$@"`

// commandLine is everything from the cgroups inwards: limits, user, namespaces.
// fds are the file descriptors of c.Files in bwrap, etc those of passwd and group.
func (s *Sandbox) commandLine(c Command, u *user, fds []int, etc [2]int) []string {
	g := s.group(u)
	args := []string{"/bin/sh", "-c", enter, "sh", strconv.Itoa(len(g.paths()))}
	args = append(args, g.paths()...)
	args = append(args, s.tools.prlimit, fmt.Sprintf("--nproc=%d", c.Limits.Processes+spare), fmt.Sprintf("--fsize=%d", max(c.Limits.Disk, c.Limits.Output)),
		fmt.Sprintf("--cpu=%d", cpuSeconds(c.Limits)), "--core=0", "--nofile=4096", "--memlock=65536", "--msgqueue=0")
	id := strconv.Itoa(u.uid)
	args = append(args, s.tools.setpriv, "--reuid="+id, "--regid="+id, "--clear-groups", "--no-new-privs", "--inh-caps=-all")
	args = append(args, s.tools.bwrap, "--unshare-all", "--share-net", "--unshare-user", "--disable-userns", "--cap-drop", "ALL",
		"--json-status-fd", "4", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "build", "--uid", insideUID, "--gid", insideUID,
		"--ro-bind", c.Root, "/", "--proc", "/proc", "--dev", "/dev",
		"--size", strconv.Itoa(shmSize), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
		"--perms", "1777", "--size", strconv.FormatInt(c.Limits.Disk, 10), "--tmpfs", "/tmp",
		"--size", strconv.Itoa(homeSize), "--tmpfs", "/home", "--dir", "/home/build",
		"--ro-bind-data", strconv.Itoa(etc[0]), "/etc/passwd", "--ro-bind-data", strconv.Itoa(etc[1]), "/etc/group")
	for i, f := range c.Files {
		args = append(args, "--file", strconv.Itoa(fds[i]), filepath.Join("/tmp", f.Name))
	}
	for _, kv := range environment(c, "http://"+address, "/tmp", "/home/build") {
		k, v, _ := strings.Cut(kv, "=")
		args = append(args, "--setenv", k, v)
	}
	args = append(args, "--chdir", "/tmp", "--")
	return append(args, c.Args...)
}

// cpuSeconds bounds one process: all cores for the whole time would be more.
func cpuSeconds(l Limits) int { return max(1, int(l.Timeout.Seconds())*2) }

func environment(c Command, index, tmp, home string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "TMPDIR=" + tmp, "LANG=C.UTF-8"}
	if c.Index == nil {
		index = ""
	}
	if c.Env != nil {
		env = append(env, c.Env(index, tmp)...)
	}
	return env
}

// etcFiles name the one user, whom programs look up.
var etcFiles = [2]string{
	"root:x:0:0:root:/root:/bin/sh\nbuild:x:" + insideUID + ":" + insideUID + ":build:/home/build:/bin/sh\n",
	"root:x:0:\nbuild:x:" + insideUID + ":\n",
}

// pour returns the reading end of a pipe with a short text in it.
func pour(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.WriteString(text) // far less than a pipe holds
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return r, err
}

// checkRoot looks at what the command's user will meet on the way to the root.
func checkRoot(root string) error {
	if !filepath.IsAbs(root) || filepath.Clean(root) == "/" {
		return missing("root "+root, nil, "a platform's root is the absolute path of a tree of its own")
	}
	for dir := filepath.Clean(root); ; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return missing("root "+root, err, "make it with debootstrap")
		}
		if !st.IsDir() || st.Mode().Perm()&0o001 == 0 {
			return missing("root "+root, nil, dir+" must be a directory that everybody may pass (chmod o+x)")
		}
		if dir == "/" {
			return nil
		}
	}
}
