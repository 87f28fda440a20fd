package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
)

// mounts writes a mountinfo of directories in which cgroups could be mounted.
func mounts(t *testing.T, lines ...string) (mountinfo, dir string) {
	t.Helper()
	dir = t.TempDir()
	mountinfo = filepath.Join(dir, "mountinfo")
	text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "DIR", dir)
	for _, name := range []string{"memory", "pids", "unified"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(mountinfo, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return mountinfo, dir
}

const (
	v1Memory = "31 24 0:27 / DIR/memory rw,relatime shared:9 - cgroup cgroup rw,memory"
	v1Pids   = "32 24 0:28 / DIR/pids rw,relatime - cgroup cgroup rw,pids"
	v2       = "33 24 0:29 / DIR/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
)

func TestFindControllers(t *testing.T) {
	tests := map[string]struct {
		lines       []string
		controllers string // of v2
		memory      string
		v2          bool
		fails       bool
	}{
		"v1":                   {[]string{v1Memory, v1Pids}, "", "memory", false, false},
		"v1 beside an idle v2": {[]string{v2, v1Memory, v1Pids}, "hugetlb", "memory", false, false},
		"v2":                   {[]string{v2}, "cpu memory pids", "unified", true, false},
		"v2 without memory":    {[]string{v2}, "cpu pids", "", false, true},
		"half of v1":           {[]string{v2, v1Pids}, "memory", "", false, true},
		"none":                 {nil, "", "", false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mountinfo, dir := mounts(t, tt.lines...)
			if err := os.WriteFile(filepath.Join(dir, "unified/cgroup.controllers"), []byte(tt.controllers+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			memory, _, v2, err := sandbox.FindControllers(mountinfo)
			if tt.fails {
				if !errors.Is(err, fault.Config) {
					t.Error(err)
				}
				return
			}
			if err != nil || memory != filepath.Join(dir, tt.memory) || v2 != tt.v2 {
				t.Errorf("%s, %v, %v", memory, v2, err)
			}
		})
	}
}

// TestLimitsAreWritten looks at the files that the kernel would read. The suite
// wheels sees whether it does.
func TestLimitsAreWritten(t *testing.T) {
	tests := map[string]struct {
		lines []string
		want  map[string]string
	}{
		"v1": {[]string{v1Memory, v1Pids}, map[string]string{"memory/mirrorcycle/7/memory.limit_in_bytes": "1000", "pids/mirrorcycle/7/pids.max": "20"}},
		"v2": {[]string{v2}, map[string]string{"unified/mirrorcycle/7/memory.max": "1000", "unified/mirrorcycle/7/pids.max": "20", "unified/mirrorcycle/7/memory.swap.max": "0",
			"unified/mirrorcycle/cgroup.subtree_control": "+memory +pids"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mountinfo, dir := mounts(t, tt.lines...)
			if err := os.WriteFile(filepath.Join(dir, "unified/cgroup.controllers"), []byte("memory pids\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { // files of mode 0
				_ = filepath.WalkDir(dir, func(name string, _ os.DirEntry, _ error) error { return os.Chmod(name, 0o755) })
			})
			if err := sandbox.CreateGroup(mountinfo, "7", 1000, 20); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for name := range tt.want {
				_ = os.Chmod(filepath.Join(dir, name), 0o644)
				data, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
				}
				got[name] = string(data)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
