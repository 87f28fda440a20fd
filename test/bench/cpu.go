package bench

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time of this process and of its children, by the name of their program.
type usage map[string]time.Duration

// tick is the unit of CPU times in /proc (proc_pid_stat(5)): USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// busy sums up the CPU time so far.
func busy() usage {
	u := usage{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents, times, names := map[int]int{}, map[int]time.Duration{}, map[int]string{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		open, shut := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
		if err != nil || open < 0 || shut < open {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(data[:open])))
		fields := strings.Fields(string(data[shut+1:])) // from the third on
		if len(fields) < 13 {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		times[pid], names[pid] = time.Duration(user+system)*tick, string(data[open+1:shut])
	}
	self := os.Getpid()
	for pid := range times {
		for p, depth := pid, 0; p > 1 && depth < 8; p, depth = parents[p], depth+1 {
			if p == self {
				u[names[pid]] += times[pid]
				break
			}
		}
	}
	return u
}

// since lists what was used after before.
func (u usage) since(before usage) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(u)) {
		all = append(all, fmt.Sprintf("%s %.2f s", name, (u[name]-before[name]).Seconds()))
	}
	return strings.Join(all, ", ")
}
