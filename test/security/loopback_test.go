package security_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mirrorcycle/internal/lab"
)

// TestNothingListensBeyondLoopback looks into the kernel's tables for what each
// program that serves something listens on, when it is not told.
func TestNothingListensBeyondLoopback(t *testing.T) {
	lab.Need(t, "no Temporal server: make bin/temporal-dev", exists(filepath.Join(lab.Root(), "bin", "temporal-dev")))
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: lab.NewUpstream(t).AptMirror("debian", "1h"), NoWork: true})
	temporal := []string{"TEMPORAL_ADDRESS=" + h.Address, "MIRRORCYCLE_SPEC=" + filepath.Join(h.Dir, "mirrors.toml")}
	for name, tc := range map[string]struct {
		program string
		args    []string
		env     []string
		says    string // when it listens
		least   int    // sockets
	}{
		"everything on one machine": {program: "starter", args: []string{"up", "--demo", "--dir", t.TempDir()}, says: "region here", least: 4},
		"a region's web server":     {program: "starter", args: []string{"serve", "--dir", h.Spec.Regions[0].Dir}, says: "127.0.0.1:8081", least: 1},
		"the origin":                {program: "starter", args: []string{"origin", filepath.Join(h.Dir, "mirrors.toml")}, says: "127.0.0.1:8090", least: 1},
		"the demo upstream":         {program: "starter", args: []string{"demo", "--dir", t.TempDir()}, says: "127.0.0.1:8070", least: 1},
		"a worker with metrics": {program: "worker", args: []string{"--roles", "sync:none"}, says: "worker starts", least: 1,
			env: append([]string{"OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT=0"}, temporal...)},
		"a worker": {program: "worker", args: []string{"--roles", "sync:none"}, says: "worker starts", env: temporal},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tc.env, tc.program, tc.args...)
			p.Await(regexp.QuoteMeta(tc.says))
			found, err := listening(p.Cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(p.String(), "address already in use") {
				t.Logf("the default port is taken; it is one of loopback: %s", p)
			} else if len(found) < tc.least || tc.least == 0 && len(found) > 0 {
				t.Errorf("it listens on %v, want %d or more:\n%s", found, tc.least, p)
			}
			for _, a := range found {
				if !a.Addr().Unmap().IsLoopback() {
					t.Errorf("it listens on %s", a)
				}
			}
			p.End(syscall.SIGTERM)
		})
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// listening lists what a process and its children listen on, as proc(5) has it.
func listening(pid int) ([]netip.AddrPort, error) {
	sockets := map[string]bool{}
	for _, p := range family(pid) {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p))
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
				sockets[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	var out []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/net/" + table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const local, state, inode, listen = 1, 3, 9, "0A"
			w := strings.Fields(lines.Text())
			if len(w) <= inode || w[state] != listen || !sockets[w[inode]] {
				continue
			}
			a, err := address(w[local])
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			out = append(out, a)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// address reads an address of /proc/net/tcp: 32-bit words in the host's order, which is little-endian here.
func address(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	var b []byte
	for i := 0; i+8 <= len(host); i += 8 {
		n, err := strconv.ParseUint(host[i:i+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, err
		}
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	ip, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// family is a process and what it has started.
func family(pid int) []int {
	out := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for more := true; more; {
		more = false
		for _, file := range stats {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // it has ended
			}
			text := string(data)
			w := strings.Fields(text[strings.LastIndex(text, ")")+1:])
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if parent, err := strconv.Atoi(w[1]); err == nil && slices.Contains(out, parent) && !slices.Contains(out, child) {
				out, more = append(out, child), true
			}
		}
	}
	return out
}
