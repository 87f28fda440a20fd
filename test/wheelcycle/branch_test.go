package wheelcycle_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/workflows"
)

// TestFieldOfABranch runs cycles over all lines of OpenStack's requirements of one
// stable branch, as the documents set them up. Upstream has real files of some of
// the pins, and nothing of the others. Every pin comes to something, and each
// failure has a class and what the failing tool said last.
func TestFieldOfABranch(t *testing.T) {
	rootlab.NeedSandbox(t)
	set := rootlab.BranchSet(t)
	m := newMillOn(t, patient+fmt.Sprintf("build-constraints = [%q, %q]", rootlab.BranchBounds[0], rootlab.BranchBounds[1]), rootlab.Debian12)
	m.offer(set)
	lines := branchLines(t)
	m.write("global-requirements.txt", strings.Join(lines, "\n")+"\n")
	m.serve()
	m.spawn()
	want := expected(lines)
	if w := m.patiently().Mirrors[1]; w.Outcome != workflows.Partial {
		t.Errorf("%+v", w)
	}
	m.account(want)
	m.quiet()

	for _, pin := range []string{"pyzmq===16.0.3", "termcolor===1.1.0"} { // one that failed, one that is built
		want[pin] = "skipped"
		m.starter("wheels", "skip", pin, "--reason", "nobody here needs it")
	}
	before := m.builds()
	m.patiently()
	m.account(want)
	if n := m.builds() - before; n != 0 {
		t.Errorf("%d builds were begun because two pins are skipped", n)
	}
	m.quiet()
}

// branchLines are the lines of upper-constraints.txt.
func branchLines(t *testing.T) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), "internal/reqsource/testdata/pike"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		for python := range strings.SplitSeq(f[2], ",") {
			marker := ""
			if python != "*" {
				marker = fmt.Sprintf(";python_version=='%s'", python)
			}
			lines = append(lines, f[0]+"==="+f[1]+marker)
		}
	}
	return lines
}

// expected is what each pin comes to: a state, or the class of a failure.
func expected(lines []string) map[string]string {
	want, real := map[string]string{}, map[string]string{}
	for pin, class := range rootlab.Branch {
		if class == "" {
			class = "built"
		}
		real[normalized(pin)] = class
	}
	for _, pin := range rootlab.BranchWheels {
		real[normalized(pin)] = "upstream"
	}
	for _, line := range lines {
		pin, marker, _ := strings.Cut(line, ";")
		pin = normalized(strings.Replace(pin, "===", "==", 1))
		switch {
		case marker != "":
			want[pin] = "elsewhere"
		case real[pin] != "":
			want[pin] = real[pin]
		default:
			want[pin] = wheels.NoSource
		}
	}
	return want
}

func normalized(pin string) string {
	name, version, _ := strings.Cut(pin, "==")
	return simpleindex.Normalize(name) + "===" + version
}

// account compares what every pin came to.
func (m *mill) account(want map[string]string) {
	m.t.Helper()
	states, p := m.states(), m.platforms()[0]
	if len(states) != len(want) {
		m.t.Errorf("%d states, want %d", len(states), len(want))
	}
	counts := map[string]int{}
	for _, pin := range slices.Sorted(maps.Keys(want)) {
		s := states[p+" "+pin]
		got := s.State
		if got == "failed" {
			got = s.Class
			if s.Message == "" || strings.HasPrefix(s.Message, "Failed") || strings.Contains(s.Message, "subprocess") {
				m.t.Errorf("%s fails as %s, and says %q, which is no tool's last error", pin, got, s.Message)
			}
			if got != wheels.NoSource {
				m.t.Logf("%s: %s: %s", pin, got, s.Message)
			}
		}
		if counts[got]++; got != want[pin] {
			m.t.Errorf("%s is %q, want %q: %+v", pin, got, want[pin], s)
		}
	}
	m.t.Logf("of %d pins: %v", len(want), counts)
}

// starter runs the command on this house.
func (m *mill) starter(args ...string) []byte {
	m.t.Helper()
	c := exec.Command(lab.Program(m.t, "starter"), args...)
	c.Env = append(lab.Environ(), "TEMPORAL_ADDRESS="+m.Address, "MIRRORCYCLE_SPEC="+filepath.Join(m.Dir, "mirrors.toml"))
	var said strings.Builder
	c.Stderr = &said
	data, err := c.Output()
	if err != nil {
		m.t.Fatalf("%v: %v: %s", args, err, said.String())
	}
	return data
}
