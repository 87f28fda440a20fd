package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// All commands of a machine together are bounded too: each within its limits,
// they could still leave nothing to the worker and its neighbours.

// hostLimits are what all commands together may have, where the configuration
// does not say: three quarters of the memory, half of the processes.
func (c Config) hostLimits() (memory int64, processes int) {
	memory, processes = c.HostMemory, c.HostProcesses
	if memory <= 0 {
		memory = counter("/proc/meminfo", "MemTotal:") * 1024 / 4 * 3
	}
	if processes <= 0 {
		processes = int(min(counter("/proc/sys/kernel/threads-max", ""), counter("/proc/sys/kernel/pid_max", "")) / 2)
	}
	return memory, processes
}

// bound limits the cgroup that holds those of all commands; 0 leaves it as it is.
func (c controllers) bound(memory int64, processes int) error {
	settings := [][2]string{{filepath.Join(c.memory, c.parent, "memory.limit_in_bytes"), strconv.FormatInt(memory, 10)},
		{filepath.Join(c.pids, c.parent, "pids.max"), strconv.Itoa(processes)}}
	if c.v2 {
		settings[0][0] = filepath.Join(c.memory, c.parent, "memory.max")
	}
	for _, s := range settings {
		if s[1] == "0" {
			continue
		}
		// Busy: commands of another worker have more at this moment, so its limit stays.
		if err := os.WriteFile(s[0], []byte(s[1]), 0); err != nil && !errors.Is(err, syscall.EBUSY) {
			return missing("limit "+s[0], err, "let the worker write cgroups")
		}
	}
	return nil
}

// inherit makes version 1 count the memory of our groups in the one above them;
// newer kernels do nothing else.
func (c controllers) inherit() error {
	name := filepath.Join(c.memory, c.parent, "memory.use_hierarchy")
	data, err := os.ReadFile(name)
	if c.v2 || errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(data)) == "1" {
		return nil
	}
	if err := os.WriteFile(name, []byte("1"), 0); err != nil {
		return missing("limit of all builds together in "+name, err, "end the builds that run, and start the worker again")
	}
	return nil
}

// defaultProcesses is how many processes and threads one command may have: tools
// such as ninja start some for each core.
func defaultProcesses() int { return max(512, 32*runtime.NumCPU()) }
