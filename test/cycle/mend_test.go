package cycle_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// ruin writes over a file of the tree in place, as a failing disk does: what
// shares it by hard links is ruined, too.
func ruin(t *testing.T, h *lab.House, path string) (was []byte) {
	t.Helper()
	return ruinFile(t, filepath.Join(h.Dir, "trees", path))
}

func ruinFile(t *testing.T, name string) (was []byte) {
	t.Helper()
	was, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(bytes.Repeat([]byte{'#'}, len(was)))
	}
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	return was
}

// TestDamagedFilesComeBack ruins files of the trees that the next scrub finds.
// They are brought back from what the state keeps, from upstream, and from a
// region with copies of its own; regions of the same file system are whole again
// with the tree.
func TestDamagedFilesComeBack(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"), lab.Deb("gamma", "1"))
	u.Project("nova", "1.0")
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Pull: "there", Mirrors: u.AptMirror("debian", "1h") + u.PyPIMirror("pypi", "1h"), Every: "1h"})
	outcomes(t, h.Cycle(), workflows.Done, workflows.Done)

	alpha, beta, gamma := "debian"+lab.DebPath("alpha", "1"), "debian"+lab.DebPath("beta", "1"), "debian"+lab.DebPath("gamma", "1")
	nova := "pypi" + lab.WheelPath("nova", "1.0")
	whole := map[string][]byte{}
	for _, p := range []string{alpha, gamma, nova, nova + ".metadata", "debian/dists/stable/main/binary-amd64/Packages.gz", "pypi/simple/nova/index.html"} {
		whole[p] = ruin(t, h, p)
	}
	if err := os.Remove(filepath.Join(h.Dir, "trees", beta)); err != nil {
		t.Fatal(err)
	}
	u.Lose("/apt" + strings.TrimPrefix(gamma, "debian")) // only the region that pulls has its bytes now
	for _, mirror := range []string{"debian", "pypi"} {
		// The turn of every file comes once in thirty days: they are all due now.
		if err := os.WriteFile(filepath.Join(h.Spec.StateDir(mirror), "memo", "scrub"), []byte(`{"turn":1}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := h.Cycle()
	outcomes(t, r, workflows.Unchanged, workflows.Unchanged)
	var mended []string
	for _, m := range r.Mirrors {
		for _, p := range m.Mended {
			mended = append(mended, m.Mirror+"/"+p)
		}
	}
	slices.Sort(mended)
	for p, was := range whole {
		for _, at := range []string{"trees", "regions/here"} {
			got, err := os.ReadFile(filepath.Join(h.Dir, at, p))
			if err != nil || !bytes.Equal(got, was) {
				t.Errorf("%s/%s is not what it was: %v", at, p, err)
			}
		}
		if !slices.Contains(mended, p) {
			t.Errorf("%s is not among what was mended: %q", p, mended)
		}
	}
	if !slices.Contains(mended, beta) {
		t.Errorf("%s is not among what was mended: %q", beta, mended)
	}
	for _, mirror := range []string{"debian", "pypi"} {
		contains(t, said(t, h, 0, "verify", mirror, "--deep"), " 0 problems")
	}
}

// TestDamagedFilesOfARegionComeBack ruins files of a region that has bytes of its
// own, because it pulls. The next cycle brings them back from the origin; the
// region that is hard links of the tree hashes nothing but what the tree has lost.
func TestDamagedFilesOfARegionComeBack(t *testing.T) {
	t.Parallel()
	u := lab.NewUpstream(t)
	u.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	h := lab.New(t, lab.Options{Regions: []string{"here", "there"}, Pull: "there", Mirrors: u.AptMirror("debian", "1h"), Every: "1h"})
	outcomes(t, h.Cycle(), workflows.Done)

	alpha, beta := strings.TrimPrefix(lab.DebPath("alpha", "1"), "/"), strings.TrimPrefix(lab.DebPath("beta", "1"), "/")
	index := "dists/stable/main/binary-amd64/Packages.gz"
	there := filepath.Join(h.Dir, "regions/there")
	whole := map[string][]byte{}
	for _, p := range []string{alpha, beta, index} {
		whole[p] = ruinFile(t, filepath.Join(there, "debian", p))
	}
	if err := os.Remove(filepath.Join(there, "debian", beta)); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"here", "there"} { // everything is due
		if err := os.WriteFile(filepath.Join(h.Dir, "regions", region, ".mirrorcycle/debian/scrub"), []byte(`{"turn":1}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The origin lacks one of them, too, for a cycle: its region says so.
	lost := filepath.Join(h.Dir, "trees/debian", alpha)
	if err := os.Rename(lost, lost+".away"); err != nil {
		t.Fatal(err)
	}
	r := h.Cycle()
	for _, reg := range r.Mirrors[0].Regions {
		switch {
		case reg.Reaped == nil:
			t.Errorf("%s: %+v", reg.Region, reg)
		case reg.Region == "here" && (reg.Reaped.Hashed != int64(len(whole[alpha])) || len(reg.Reaped.Problems) > 0):
			t.Errorf("the region of hard links, but for what the tree lost: %+v", reg.Reaped)
		case reg.Region == "there" && (reg.Reaped.Hashed == 0 || len(reg.Reaped.Problems) != 1 || reg.Outcome != workflows.Failed || !strings.Contains(reg.Error, alpha)):
			t.Errorf("the region that pulls: %+v, %+v", reg, reg.Reaped)
		}
	}
	if err := os.Rename(lost+".away", lost); err != nil {
		t.Fatal(err)
	}
	r = h.Cycle()
	outcomes(t, r, workflows.Unchanged)
	if want := []string{alpha + " in region there"}; !slices.Equal(r.Mirrors[0].Mended, want) {
		t.Errorf("mended %q, want %q", r.Mirrors[0].Mended, want)
	}
	for p, was := range whole {
		if text(t, h, "there", "/debian/"+p) != string(was) {
			t.Errorf("the region serves other bytes as %s", p)
		}
	}
}

// lost takes a file out of the tree.
func lost(t *testing.T, h *lab.House, path string) {
	t.Helper()
	if err := os.Remove(filepath.Join(h.Dir, "trees", path)); err != nil {
		t.Fatal(err)
	}
}
