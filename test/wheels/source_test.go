package wheels_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/workflows"
)

// TestOneRottenSourceOfSeven: six are built in that cycle, one after the other;
// the seventh has a class, is mended by the next cycle, and built in it.
func TestOneRottenSourceOfSeven(t *testing.T) {
	t.Parallel()
	m := newMillOf(t, lab.Options{}, `projects = ["*"]`, "builds = 1")
	var pins []string
	for i := range 7 {
		name := fmt.Sprintf("native%d", i)
		m.sdist(name, "1.0")
		pins = append(pins, name+"===1.0")
	}
	m.sdist("pure", "1.0")
	m.want("pure===1.0")
	m.Cycle()
	rotten := m.find("native0-1.0.tar.gz")
	if err := os.WriteFile(rotten, []byte("rotten"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.want(append(pins, "pure===1.0")...)
	for i, w := range m.Cycle().Mirrors[1].Wheels {
		if w.Built != 6 || w.Failed != 1 || w.Known != 0 || w.Outcome != workflows.Partial || w.Error != "" {
			t.Errorf("beside a rotten source: %+v", w)
		}
		for _, s := range m.states("--failed", "--platform", m.platforms()[i]) {
			if s.Pin != "native0===1.0" || s.Class != wheels.BadSource || s.Message == "" {
				t.Errorf("%+v", s)
			}
		}
	}
	r := m.Cycle()
	for _, w := range r.Mirrors[1].Wheels {
		if w.Built != 1 || w.Failed != 0 || w.Outcome != workflows.Done {
			t.Errorf("after it is mended: %+v", w)
		}
	}
	if !slices.ContainsFunc(append(r.Mirrors[0].Mended, tended(r.Mirrors[0])...), func(p string) bool { return strings.HasSuffix(p, "/native0-1.0.tar.gz") }) {
		t.Errorf("nobody tells of the mended file: %+v", r.Mirrors[0])
	}
	if r := m.Cycle(); r.Outcome != workflows.Unchanged {
		t.Errorf("a quiet cycle after that: %+v", r)
	}
}

// TestANewPythonInARoot: the next look at the platform finds it, which is at once
// if the spec says so, and builds what no longer fits, and only that.
func TestANewPythonInARoot(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(*testing.T, *mill, string){
		"as time passes": func(t *testing.T, m *mill, p string) {
			long := time.Now().Add(-24 * time.Hour)
			if err := os.Chtimes(filepath.Join(m.Spec.StateDir("wheels"), "builds", p+".json"), long, long); err != nil {
				t.Fatal(err)
			}
		},
		"as the spec says": func(_ *testing.T, m *mill, _ string) { m.Spec.Mirrors[1].Platforms[0].Python = "3.12" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newPython(t, happens)
		})
	}
}

func newPython(t *testing.T, happens func(t *testing.T, m *mill, platform string)) {
	t.Helper()
	m := newMill(t, lab.Options{})
	m.sdist("native", "1.0")
	m.sdist("pure", "1.0")
	m.want("native===1.0", "pure===1.0")
	m.Cycle()
	p := m.platforms()[0]
	before := m.b.begun(t, p)["pure===1.0"]
	if err := os.WriteFile(filepath.Join(m.b.dir, p+".python"), []byte("3.12"), 0o644); err != nil {
		t.Fatal(err)
	}
	happens(t, m, p)
	r := m.Cycle()
	if w := r.Mirrors[1].Wheels; w[0].Built != 1 || w[1].Built != 0 || r.Mirrors[1].Outcome != workflows.Done {
		t.Fatalf("%+v", r.Mirrors[1])
	}
	if got := m.page(p, "native"); got["native-1.0-1mc-cp312-cp312-linux_x86_64.whl"] != "wheels" || len(got) != 2 {
		t.Errorf("the page of the new Python: %v", got)
	}
	if got := m.page(m.platforms()[1], "native"); got["native-1.0-1mc-cp313-cp313-linux_x86_64.whl"] != "wheels" {
		t.Errorf("the page of the other platform: %v", got)
	}
	if n := m.b.begun(t, p)["pure===1.0"]; n != before {
		t.Errorf("a pure wheel was built again for the new Python")
	}
	if r := m.Cycle(); r.Outcome != workflows.Unchanged {
		t.Errorf("a quiet cycle after that: %+v", r)
	}
}

func tended(r workflows.MirrorResult) []string {
	if r.Tended == nil {
		return nil
	}
	return r.Tended.Mended
}

// find is where the index mirror has a file.
func (m *mill) find(name string) (path string) {
	m.t.Helper()
	err := filepath.WalkDir(m.Spec.TreeDir("pypi"), func(p string, d fs.DirEntry, err error) error {
		if d.Name() == name {
			path = p
		}
		return err
	})
	if err != nil || path == "" {
		m.t.Fatal(name, err)
	}
	return path
}
