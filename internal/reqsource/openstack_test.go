package reqsource_test

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
)

// pike is what OpenStack's requirements of one stable branch (Pike, as release
// 1.2.0 of their tools has them) pin: project, version, the Pythons that a marker
// names, or "*", and "named" if global-requirements.txt has the project.
//
//go:embed testdata/pike
var pike string

// branch is the files of that branch, as OpenStack writes them.
func branch() (global, upper string, names map[string]int) {
	var g, u strings.Builder
	names = map[string]int{}
	for line := range strings.Lines(pike) {
		f := strings.Fields(line)
		for python := range strings.SplitSeq(f[2], ",") {
			marker := ""
			if python != "*" {
				marker = fmt.Sprintf(";python_version=='%s'", python)
			}
			fmt.Fprintf(&u, "%s===%s%s\n", f[0], f[1], marker)
			names[python]++
		}
		if len(f) > 3 {
			fmt.Fprintf(&g, "%s>=0.1  # Apache-2.0\n", f[0])
		}
	}
	return g.String(), u.String(), names
}

// TestAllOfUpperConstraints: with the documented setting every pin of a branch
// is wanted on each platform that it is for, and none is unaccounted for.
func TestAllOfUpperConstraints(t *testing.T) {
	global, upper, lines := branch()
	m := newRoom(t)
	m.gh.Push("stable/pike", map[string]string{"global-requirements.txt": global, "upper-constraints.txt": upper})
	m.cfg.Refs, m.cfg.Requirements, m.cfg.Constraints = []string{"stable/pike"}, "upper-constraints.txt", ""
	m.cfg.Build = []string{"setuptools<46", "Wheel<0.34"}
	m.cfg.Environments = map[string]requirements.Environment{"xenial": requirements.Linux("3.5", "x86_64"), "bookworm": requirements.Linux("3.11", "x86_64")}
	out := m.must(t)
	w, err := reqsource.Wanted(m.cfg.State)
	if err != nil || len(out.Notes) > 0 {
		t.Fatal(err, out.Notes)
	}
	for platform, here := range map[string]int{"xenial": lines["*"] + lines["3.5"], "bookworm": lines["*"]} {
		if got := len(w.Platforms[platform]); got != here {
			t.Errorf("%s wants %d pins, the branch has %d for it", platform, got, here)
		}
		all := append(slices.Clone(w.Platforms[platform]), w.Elsewhere[platform]...)
		if got, want := len(requirements.MergePins(all)), len(all); got != want {
			t.Errorf("%s: %d pins are both wanted and elsewhere", platform, want-got)
		}
		for line := range strings.Lines(upper) {
			pin, marker, _ := strings.Cut(strings.TrimSpace(line), ";")
			r, err := requirements.Parse(pin)
			version, _ := r.Versions.Pinned()
			named := slices.ContainsFunc(all, func(p requirements.Pin) bool { return p.Name == r.Name && (p.Version == version || marker != "") })
			if err != nil || !named {
				t.Errorf("%s: %s is unaccounted for (%v)", platform, pin, err)
			}
		}
	}
	for _, line := range []string{"setuptools<46", "wheel<0.34"} {
		if !slices.Contains(w.Requirements, line) {
			t.Errorf("the index is not asked for %s, which builds are made with", line)
		}
	}

	m.cfg.Requirements, m.cfg.Constraints = "global-requirements.txt", "upper-constraints.txt"
	m.cfg.State = t.TempDir()
	if named := m.must(t); named.Pins >= out.Pins*9/10 {
		t.Errorf("requirements name %d of %d pins: this branch shows nothing", named.Pins, out.Pins)
	}
}

// TestUnreadableLinesOfABranch: each is a note that names its line and quotes
// nothing of it, and all other pins are wanted.
func TestUnreadableLinesOfABranch(t *testing.T) {
	_, upper, lines := branch()
	const secret = "s3cr3t"
	bad := []string{"-e git+https://bob:" + secret + "@example.org/x#egg=x", "--index-url=https://bob:" + secret + "@example.org/simple", "-r" + secret + ".txt",
		"https://bob:" + secret + "@example.org/x.zip", "./" + secret, "x https://bob:" + secret + "@example.org/", "y[" + secret + "===1",
		"z===1;" + secret + "=='1'", "<<<<<<< " + secret, "q @ https://bob:" + secret + "@example.org/q.zip " + secret}
	m := newRoom(t)
	m.gh.Push("stable/pike", map[string]string{"upper-constraints.txt": upper + "u @ https://bob:" + secret + "@example.org/u.zip\n" + strings.Join(bad, "\n") + "\n"})
	m.cfg.Refs, m.cfg.Requirements, m.cfg.Constraints = []string{"stable/pike"}, "upper-constraints.txt", ""
	out := m.must(t)
	if out.Pins != lines["*"] {
		t.Errorf("%d pins are wanted, want %d", out.Pins, lines["*"])
	}
	first := strings.Count(upper, "\n") + 2
	for i := range bad {
		if at := fmt.Sprintf(":%d: ", first+i); !slices.ContainsFunc(out.Notes, func(n string) bool { return strings.Contains(n, at) }) {
			t.Errorf("no note of %q in %q", bad[i], out.Notes)
		}
	}
	w, err := reqsource.Wanted(m.cfg.State)
	data, encodeErr := w.Encode()
	if err != nil || encodeErr != nil || strings.Contains(string(data), secret) {
		t.Errorf("a login is in the clear: %v %v", err, encodeErr)
	}
}
