package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
func (s *Sandbox) commandLine(c Command, u *user, fds given) []string {
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
		"--size", strconv.Itoa(homeSize), "--tmpfs", "/home", "--dir", "/home/build")
	args = append(args, etcArgs(c.Root, fds.etc)...)
	if fds.filter > 0 {
		args = append(args, "--seccomp", strconv.Itoa(fds.filter))
	}
	for i, f := range c.Files {
		args = append(args, "--file", strconv.Itoa(fds.files[i]), filepath.Join("/tmp", f.Name))
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

type etcFile struct{ name, text string }

// etcFiles name the one user and the one host, which programs look up.
var etcFiles = []etcFile{
	{"passwd", "root:x:0:0:root:/root:/bin/sh\nbuild:x:" + insideUID + ":" + insideUID + ":build:/home/build:/bin/sh\n"},
	{"group", "root:x:0:\nbuild:x:" + insideUID + ":\n"},
	{"hosts", "127.0.0.1 localhost build\n::1 localhost\n"},
}

// etcArgs lay the files over those of the root. A root without one of them has no
// place to lay it on: then /etc is a directory of links and mounts of its own.
func etcArgs(root string, fds []int) (args []string) {
	there := func(name string) bool {
		st, err := os.Lstat(filepath.Join(root, "etc", name))
		return err == nil && st.Mode().IsRegular()
	}
	complete := true
	for _, f := range etcFiles {
		complete = complete && there(f.name)
	}
	if !complete {
		args = append(args, "--perms", "0755", "--tmpfs", "/etc")
		entries, _ := os.ReadDir(filepath.Join(root, "etc")) // a root without /etc has none to keep
		for _, e := range entries {
			from, to := filepath.Join(root, "etc", e.Name()), filepath.Join("/etc", e.Name())
			switch link, err := os.Readlink(from); {
			case slices.ContainsFunc(etcFiles, func(f etcFile) bool { return f.name == e.Name() }):
			case err == nil:
				args = append(args, "--symlink", link, to)
			case e.IsDir() || e.Type().IsRegular():
				args = append(args, "--ro-bind", from, to)
			}
		}
	}
	for i, f := range etcFiles {
		args = append(args, "--ro-bind-data", strconv.Itoa(fds[i]), "/etc/"+f.name)
	}
	if !complete {
		args = append(args, "--remount-ro", "/etc")
	}
	return args
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
